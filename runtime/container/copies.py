"""Copying files into and out of a running container, and dialling its ports: the engine's side.

In: a container's record.  Out: a process of `copier` as an `Execution`; a connected socket.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import runtime
from runtime.container import process, syscalls
from runtime.container.owners import APP_UID
from runtime.container.port import EngineError
from runtime.container.storage import Record
from runtime.model import CopySpec

_ENDS_WITHIN = 5.0  # seconds
_DIAL_TAKES = 5.0
_START = """import sys
sys.path.insert(0, sys.argv.pop(1))
from runtime.container.copier import main
sys.exit(main(sys.argv[1:]))
"""
_ROOT = str(Path(runtime.__file__).parents[1])


class Copy:
    """See `runtime.container.port.Execution`."""

    tty = False

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self.pid = self.supervisor = child.pid
        assert child.stdin and child.stdout and child.stderr
        self.stdin, self.stdout, self.stderr = (
            pipe.fileno() for pipe in (child.stdin, child.stdout, child.stderr)
        )

    def resize(self, rows: int, columns: int) -> None:
        """It has no terminal."""

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._child.send_signal(number)

    def close_stdin(self) -> None:
        if self._child.stdin:
            self._child.stdin.close()
        self.stdin = -1

    def wait(self, timeout: float) -> int | None:
        try:
            code = self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        return code if code >= 0 else 128 - code

    def end(self) -> None:
        self.signal(signal.SIGKILL)
        self._child.wait(_ENDS_WITHIN)
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()


def check(spec: CopySpec) -> None:
    """Raise EngineError for what cannot be a path in a container."""
    if not spec.path.startswith("/") or "\0" in spec.path or len(spec.path) > 4096:
        raise EngineError(f"{spec.path!r} is not an absolute path inside the container.")


def start(record: Record, spec: CopySpec, doors: tuple[Path, ...]) -> Copy:
    """Run the copier. `doors` are the files that let a process into the container's control groups."""
    check(spec)
    direction = "in" if spec.into else "out"
    place = [str(record.pid), str(record.pid_started), direction, spec.path, str(APP_UID)]
    words = [sys.executable, "-I", "-S", "-c", _START, _ROOT, *place, *map(str, doors)]
    pipe = subprocess.PIPE
    environment = {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"}
    try:
        child = subprocess.Popen(
            words, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, cwd="/"
        )
    except OSError as error:
        raise EngineError(f"Files of {record.id} could not be copied: {error}.") from error
    return Copy(child)


def dial(record: Record, port: int) -> socket.socket:
    """Connect to a port of the container from inside its network: what listens on 127.0.0.1 only is reached too."""
    found: list[socket.socket | OSError] = []
    thread = threading.Thread(target=_dial_inside, args=(record, port, found))
    thread.start()  # of its own: a thread that has entered another network cannot be used for anything else
    thread.join(_DIAL_TAKES * 3)
    result = found[0] if found else OSError("it took too long")
    if isinstance(result, OSError):
        raise EngineError(f"Nothing in {record.id} listens on port {port}: {result.strerror or result}.")
    return result


def _dial_inside(record: Record, port: int, found: list[socket.socket | OSError]) -> None:
    try:
        with open(f"/proc/{record.pid}/ns/net", "rb") as inner:  # noqa: PTH123 - a descriptor is all that is wanted
            if process.start_time(record.pid) != record.pid_started:
                raise OSError("it has ended")
            syscalls.setns(inner.fileno(), syscalls.CLONE_NEWNET)
        found.append(_connect(("127.0.0.1", record.address) if record.address else ("127.0.0.1",), port))
    except OSError as error:
        found.append(error)


def _connect(addresses: tuple[str, ...], port: int) -> socket.socket:
    problem = OSError("there is no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), _DIAL_TAKES)
        except OSError as error:
            problem = error
    raise problem


def doors_of(groups: tuple[Path, ...]) -> tuple[Path, ...]:
    return tuple(group / "cgroup.procs" for group in groups if os.access(group / "cgroup.procs", os.W_OK))
