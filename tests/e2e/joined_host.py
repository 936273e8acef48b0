"""A second machine on this one: a network namespace joined by a veth, and a host that `script/join` makes in it.

In: nothing but free names.  Out: a machine that joins, is killed, comes back; nothing of it is left after `end`.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from paas.supervisor.subnets import tag
from tests.e2e.platform import ROOT, until

JOIN_DEADLINE = 60.0
ROUTER_PORT = 8080
NAME_SERVER = "127.0.0.53"
BEYOND, BEYOND_PORT = ".beyond.example", 7000


@dataclass
class Machine:
    """Addresses on the cable: `near` is the platform's, `address` this machine's, `beyond` a stranger's."""

    name: str
    namespace: str
    cable: str
    near: str
    address: str
    subnet: str
    home: Path
    beyond: str
    mounts: int = 0  # a process that keeps its mount namespace
    process: subprocess.Popen[bytes] | None = None
    logs: list[Path] = field(default_factory=list)

    @property
    def resolv_conf(self) -> Path:
        return Path(f"/tmp/resolv-{self.namespace}")

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PAAS_")}
        return kept | {"PAAS_HOME": str(self.home)}

    def inside(self, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        words = ["nsenter", f"--net=/run/netns/{self.namespace}", *command]
        return subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=timeout, env=self.environ
        )

    def entered(self) -> list[str]:
        """The start of a command there: in its network, with its mounts."""
        return ["nsenter", f"--net=/run/netns/{self.namespace}", f"--mount=/proc/{self.mounts}/ns/mnt"]

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Run `script/join --foreground …` there, until it says that it is a host."""
        log = self.home.with_suffix(f".{len(self.logs)}.log")
        self.logs.append(log)
        command = [*self.entered(), str(ROOT / "script/join"), *arguments]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--foreground"],
                env=self.environ,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.process = process
        until(
            lambda: "is a host of" in log.read_text() or process.poll() is not None,
            JOIN_DEADLINE,
            "the machine is a host",
        )
        assert process.poll() is None, log.read_text()
        return process

    def join(self, command: str) -> None:
        """Run what `paas hosts:token` printed."""
        words = command.removeprefix("sudo script/join ").split()
        edge = ("--router", "--router-bind", f"{self.address}:{ROUTER_PORT}")
        self.start(*words, "--name", self.name, "--subnet", self.subnet, *edge)

    def kill(self) -> None:
        """Pull the plug: the cable, then every process that runs the host."""
        _ip("link", "set", self.cable, "down")
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        for pid in self.pids("runtime agent"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.pids("runtime agent"), 10, "the agent is gone")

    def plug_in(self) -> None:
        _ip("link", "set", self.cable, "up")

    def pids(self, text: str) -> list[int]:
        """Processes of this machine whose command line has `text`."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environ = (folder / "environ").read_bytes().split(b"\0")
                ours = f"SUPERVISED_BY={self.home}".encode() in environ or str(self.home) in command
                if (
                    text in command
                    and ours
                    and (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
                ):
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def containers(self) -> list[int]:
        """One process id, conmon's, per container there."""
        return sorted(self.pids("conmon"))

    def end(self) -> None:
        """Stop it with everything on it, as Ctrl-C does."""
        if self.process is not None:
            self.plug_in()
            if self.process.poll() is not None:
                self.start()
            self.process.send_signal(signal.SIGINT)
            self.process.wait(40)

    def leftovers(self) -> list[str]:
        texts = [Path(f"/proc/{one}/mountinfo").read_text() for one in ("self", self.mounts)]
        texts.append(self.inside("nft", "list", "tables").stdout)
        texts.append(self.inside("ip", "-o", "link").stdout)
        marks = (str(self.home), tag(self.home), "vxlan")
        found = [line for text in texts for line in text.splitlines() if any(mark in line for mark in marks)]
        return found + [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/paas-{tag(self.home)}")]

    def log(self) -> str:
        files = [*self.logs, *sorted((self.home / "log").glob("*.log"))]
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-6000:]}" for file in files)


@contextmanager
def second_machine() -> Iterator[Machine]:
    """A machine beside this one; afterwards it is gone."""
    mark, third = secrets.token_hex(2), random.randrange(1, 255)
    network = f"198.18.{third}"
    machine = Machine(
        name=f"far-{mark}",
        namespace=f"n{mark}",
        cable=f"e{mark}",
        near=f"{network}.1",
        address=f"{network}.2",
        subnet=f"10.{random.randrange(100, 200)}.{third}.0/24",
        home=Path(tempfile.mkdtemp(prefix="j", dir="/tmp")),
        beyond=f"{network}.77",
    )
    machine.resolv_conf.write_text(f"nameserver {NAME_SERVER}\n")
    others: list[subprocess.Popen[bytes]] = []
    left: list[str] = []
    try:
        _ip("netns", "add", machine.namespace)
        _ip("link", "add", machine.cable, "type", "veth", "peer", "name", "eth0", "netns", machine.namespace)
        _ip("addr", "add", f"{machine.near}/24", "dev", machine.cable)
        _ip("link", "set", machine.cable, "up")
        for words in (
            ("addr", "add", f"{machine.address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
            ("route", "add", "default", "via", machine.near),
        ):
            _ip("-n", machine.namespace, *words)
        _ip("addr", "add", f"{machine.beyond}/24", "dev", machine.cable)
        others += [_mounts(machine), _names(machine), _listener(machine)]
        machine.mounts = others[0].pid
        yield machine
    finally:
        try:
            machine.end()
            left = machine.leftovers()
        finally:
            if machine.process is not None and machine.process.poll() is None:
                machine.process.kill()
            for one in others:
                one.kill()
                one.communicate()
            machine.resolv_conf.unlink(missing_ok=True)
            subprocess.run(["ip", "netns", "del", machine.namespace], check=False)
            subprocess.run(["ip", "link", "del", machine.cable], check=False, capture_output=True)
            shutil.rmtree(machine.home, ignore_errors=True)
            for log in machine.logs:
                log.unlink(missing_ok=True)
    assert not left, left


def _mounts(machine: Machine) -> subprocess.Popen[bytes]:
    """Keep mounts of its own: /etc/resolv.conf is another one there."""
    alone = ("unshare", "--mount", "--propagation", "private", "sh", "-c")
    script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    return _serving("print('up', flush=True); input()", *alone, script, str(machine.resolv_conf))


def _names(machine: Machine) -> subprocess.Popen[bytes]:
    """The name server of the second machine: every name below BEYOND is somebody on the cable, no other exists."""
    return _serving(
        f"""
import socket
from runtime.network.dns import Code, parse, render
server = socket.socket(type=socket.SOCK_DGRAM)
server.bind(({NAME_SERVER!r}, 53))
print("up", flush=True)
while True:
    data, client = server.recvfrom(4096)
    query = parse(data)
    if query is not None:
        known = query.name.endswith({BEYOND!r})
        answer = render(query, [{machine.beyond!r}] if known else [], Code.OK if known else Code.NO_SUCH_NAME)
        server.sendto(answer, client)
""",
        "nsenter",
        f"--net=/run/netns/{machine.namespace}",
    )


def _listener(machine: Machine) -> subprocess.Popen[bytes]:
    """Somebody on the cable who takes connections at BEYOND_PORT and the next one."""
    return _serving(
        f"""
import socket
server, other = (socket.create_server(({machine.beyond!r}, {BEYOND_PORT} + more)) for more in (0, 1))
print("up", flush=True)
while True: server.accept()[0].close()
"""
    )


def _serving(program: str, *before: str) -> subprocess.Popen[bytes]:
    command = [*before, sys.executable, "-c", program]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
