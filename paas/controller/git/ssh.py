"""ssh to a git server elsewhere with a deploy key: OpenSSH's client, without anybody's configuration.

In: a private key, what is known of the server.  Out: dulwich's pipe to `git-upload-pack`, ended at a deadline.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType

from dulwich.client import SSHVendor, SubprocessWrapper
from dulwich.errors import GitProtocolError

from paas.sources.addresses import Reach

ERRORS_KEPT = 4000  # bytes of what ssh says


class _Pipe(SubprocessWrapper):
    """Closes within seconds: by then all is read, or nobody waits for it any more."""

    def close(self, timeout: int | None = 2) -> None:
        with contextlib.suppress(GitProtocolError):  # it was ended
            super().close(timeout)


class Vendor(SSHVendor):
    """One connection. As a context: files of its own in between, no process after."""

    def __init__(self, reach: Reach, key: str, known: str, deadline: float) -> None:
        self._reach = reach
        self._place = tempfile.TemporaryDirectory(prefix="paas-ssh-")
        self._key, self._known = Path(self._place.name, "key"), Path(self._place.name, "known_hosts")
        self._errors = Path(self._place.name, "errors")
        self._key.touch(mode=0o600)
        self._key.write_text(key)
        self._known.write_text(known)
        self._deadline = deadline
        self._process: subprocess.Popen[bytes] | None = None
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Vendor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._place.cleanup()

    def run_command(
        self,
        host: str,
        command: bytes,
        username: str | None = None,
        port: int | None = None,
        password: str | None = None,
        key_filename: str | None = None,
        ssh_command: str | None = None,
        protocol_version: int | None = None,
    ) -> SubprocessWrapper:
        address = self._reach.address(host, port or 22)
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [*self._arguments(host, address, username or "git", port or 22), command.decode()],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"},
            )
        self._timer = threading.Timer(max(1.0, self._deadline - time.monotonic()), self._process.kill)
        self._timer.daemon = True
        self._timer.start()
        return _Pipe(self._process)

    def _arguments(self, host: str, address: str, user: str, port: int) -> list[str]:
        """The server's key is taken at the first fetch and must stay the same from then on."""
        options = {
            "BatchMode": "yes",
            "ClearAllForwardings": "yes",
            "ConnectTimeout": "10",
            "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlias": host if port == 22 else f"[{host}]:{port}",
            "IdentitiesOnly": "yes",
            "PermitLocalCommand": "no",
            "ProxyCommand": "none",
            "ServerAliveInterval": "15",
            "SetEnv": "GIT_PROTOCOL=version=2",  # whose servers give out any commit, not branches only
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": str(self._known),
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return [
            "ssh",
            "-F",
            "none",
            "-x",
            "-T",
            "-i",
            str(self._key),
            *words,
            "-p",
            str(port),
            "-l",
            user,
            "--",
            address,
        ]

    def host_keys(self) -> str:
        return self._known.read_text()[:10_000]

    def explain(self, url: str, error: str) -> str:
        """What went wrong, in ssh's own last words if it has any."""
        said = (
            self._errors.read_bytes()[-ERRORS_KEPT:].decode("utf-8", "replace")
            if self._errors.exists()
            else ""
        )
        if "HOST IDENTIFICATION HAS CHANGED" in said or "Host key verification failed" in said:
            return (
                f"{url}: the server has another host key than at the first fetch. If that is right, connect the "
                "source again; if not, somebody may be in between."
            )
        if "Permission denied" in said:
            return f"{url}: the server does not take the deploy key. Add the public key that `paas source` shows."
        last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), error)
        return f"{url} could not be fetched ({last[:300]})."
