"""A real ssh server on loopback, with keys, configuration and port of its own.

In: a folder, lines of authorized keys.  Out: `sshd` in the foreground, ended by its process id, sessions too.
"""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.ports import free_port

PROGRAM = "/usr/sbin/sshd"  # wants to be called by its whole path
SEPARATION = Path("/run/sshd")  # compiled in; the package's service makes it, which does not run here


@dataclass
class SshServer:
    """`authorized` is read at each login. Whoever logs in is who runs the tests."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def user(self) -> str:
        return pwd.getpwuid(os.getuid()).pw_name

    @property
    def authorized(self) -> Path:
        return self.folder / "authorized_keys"

    def url(self, path: Path | str) -> str:
        return f"ssh://{self.user}@127.0.0.1:{self.port}{path}"

    def start(self, host_key: str) -> None:
        """Start with the host key of this name, made when it is new; returns once it answers."""
        key = self.folder / host_key
        if not key.exists():
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)]
            subprocess.run(make, check=True, timeout=60)
        SEPARATION.mkdir(mode=0o755, exist_ok=True)
        settings = self.folder / "sshd_config"
        settings.write_text(self._settings(key))
        with (self.folder / "sshd.log").open("ab") as log:
            command = [PROGRAM, "-D", "-e", "-f", str(settings)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self._await()

    def _settings(self, key: Path) -> str:
        return f"""
ListenAddress 127.0.0.1:{self.port}
HostKey {key}
AuthorizedKeysFile {self.authorized}
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
AcceptEnv GIT_PROTOCOL
PrintMotd no
"""

    def _await(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            assert self.process is not None and self.process.poll() is None, self.said()
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
                    connection.settimeout(5)
                    if connection.recv(4) == b"SSH-":
                        return
            except OSError:
                pass
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)

    def sessions(self) -> list[int]:
        """Process ids of what serves somebody now."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(word) for word in children.split()]

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.process = None

    def said(self) -> str:
        return (self.folder / "sshd.log").read_text()
