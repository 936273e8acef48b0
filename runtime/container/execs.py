"""A further process in a running container, by the OCI runtime's own `exec`.

In: an `ExecSpec` and the container's config.json.  Out: an `Execution`, which ends with whoever asked for it.
Everything that starts one runs inside the private mount namespace.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from runtime.container import conmon, process
from runtime.container.port import EngineError
from runtime.container.storage import write_atomically
from runtime.model import ExecSpec

_START_TAKES = 15.0  # seconds
_HANG_UP_TAKES = 2.0  # seconds between SIGHUP and SIGKILL
_PID_FILES = "exec-*.pid"
_REAP_TAKES = 1.0  # seconds
_SHOWN = 400  # characters of the runtime's complaint


class RuntimeExecution:
    """See `runtime.container.port.Execution`. `terminal` is the master of a pseudo-terminal, or -1."""

    def __init__(
        self, runtime: subprocess.Popen[bytes], pid_file: Path, group: str, terminal: int = -1
    ) -> None:
        self._runtime = runtime
        self._group = group
        self._pid_file = pid_file.name
        self._terminal = terminal
        self.pid = int(pid_file.read_text())
        self._bundle = os.open(pid_file.parent, os.O_PATH | os.O_CLOEXEC)  # it is seen inside only
        self._started = process.start_time(self.pid)
        self.supervisor = runtime.pid
        self.tty = terminal >= 0
        self.stdin = terminal if self.tty else _descriptor(runtime.stdin)
        self.stdout = terminal if self.tty else _descriptor(runtime.stdout)
        self.stderr = -1 if self.tty else _descriptor(runtime.stderr)

    def resize(self, rows: int, columns: int) -> None:
        if self.tty:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def signal(self, number: int) -> None:
        process.send(self.pid, self._started, number)

    def close_stdin(self) -> None:
        if not self.tty and self._runtime.stdin:
            self._runtime.stdin.close()
            self.stdin = -1

    def wait(self, timeout: float) -> int | None:
        try:
            code = self._runtime.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        return code if code >= 0 else 128 - code

    def end(self) -> None:
        end_tree(self.pid, self._started)
        process.end(self.supervisor, process.start_time(self.supervisor), _HANG_UP_TAKES)
        self._runtime.wait(_START_TAKES)
        for pipe in (self._runtime.stdin, self._runtime.stdout, self._runtime.stderr):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        if self.tty:
            os.close(self._terminal)
            self.tty, self._terminal = False, -1
        if self._bundle >= 0:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._pid_file, dir_fd=self._bundle)
            os.close(self._bundle)
            self._bundle = -1
        process.reap_members(self._group, _REAP_TAKES)


def start(
    runtime: str, state: str, bundle: Path, container: str, spec: ExecSpec, place: Path, group: str
) -> RuntimeExecution:
    """Run the process. `place` is a private directory with a short path for what only the start needs; `group` is
    the container's control group.

    Raises EngineError in the runtime's words when the command cannot be run.
    """
    check(spec)
    name = secrets.token_hex(4)
    place.mkdir(mode=0o700, exist_ok=True)
    document, pid_file = place / f"{name}.json", bundle / f"exec-{name}.pid"
    write_atomically(document, msgspec.json.encode(render(spec, (bundle / "config.json").read_bytes())))
    words = [runtime, "--root", state, "exec", "--process", str(document), "--pid-file", str(pid_file)]
    try:
        if spec.tty:
            return _start_on_terminal(words, container, pid_file, place / f"{name}.sock", spec, group)
        child = _spawn([*words, container])
        try:
            _wait_started(child, pid_file)
        except BaseException:
            _give_up(child, pid_file, group)
            raise
        return RuntimeExecution(child, pid_file, group)
    except OSError as error:
        raise EngineError(f"The command could not be run in {container}: {error}.") from error
    finally:
        document.unlink(missing_ok=True)


def check(spec: ExecSpec) -> None:
    """Raise EngineError for a spec that no process can be made of."""
    if not spec.argv or not spec.argv[0] or any("\0" in word for word in spec.argv):
        raise EngineError("Say which command to run, without NUL characters.")
    if spec.cwd and not spec.cwd.startswith("/"):
        raise EngineError(f"{spec.cwd!r} is not an absolute path inside the container.")
    for name, value in spec.env.items():
        if not name or "=" in name or "\0" in name + value:
            raise EngineError(f"{name!r} cannot be an environment variable.")


def render(spec: ExecSpec, config: bytes) -> dict[str, Any]:
    """Return process.json: the container's own process, sandbox and all, but for what `spec` says."""
    document: dict[str, Any] = msgspec.json.decode(config)["process"]
    kept = [line for line in document["env"] if line.partition("=")[0] not in spec.env]
    changes: dict[str, Any] = {
        "args": list(spec.argv),
        "env": [*kept, *(f"{name}={value}" for name, value in spec.env.items())],
        "cwd": spec.cwd or document["cwd"],
        "terminal": spec.tty,
    }
    if spec.tty and spec.rows and spec.columns:
        changes["consoleSize"] = {"height": spec.rows, "width": spec.columns}
    return document | changes


def end_leftovers(bundle: Path, members: Iterable[int]) -> None:
    """End what an earlier agent, killed in mid-session, left running in a container; `members`: its processes."""
    known = set(members)
    for file in bundle.glob(_PID_FILES):
        with contextlib.suppress(OSError, ValueError):
            pid = int(file.read_text())
            if pid in known:
                end_tree(pid, process.start_time(pid))
        file.unlink(missing_ok=True)


def end_tree(pid: int, started: int) -> None:
    """Hang up on a process and all that it started; kill what has not gone."""
    if process.start_time(pid) != started:
        return
    tree = [(pid, started), *((child, process.start_time(child)) for child in process.descendants(pid))]
    for member in tree:
        process.send(*member, signal.SIGHUP)
    deadline = time.monotonic() + _HANG_UP_TAKES
    for member in tree:
        if not process.wait_gone(*member, deadline - time.monotonic()):
            process.send(*member, signal.SIGKILL)


def _start_on_terminal(
    words: list[str], container: str, pid_file: Path, path: Path, spec: ExecSpec, group: str
) -> RuntimeExecution:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind(str(path))
        child = None
        try:
            door.listen(1)
            child = _spawn([*words, "--tty", "--console-socket", str(path), container])
            terminal = _receive_terminal(door, child)
            try:
                _wait_started(child, pid_file, terminal)
                execution = RuntimeExecution(child, pid_file, group, terminal)
            except BaseException:
                os.close(terminal)
                raise
        except BaseException:
            if child:
                _give_up(child, pid_file, group)
            raise
        finally:
            path.unlink(missing_ok=True)
    if spec.rows and spec.columns:
        execution.resize(spec.rows, spec.columns)
    return execution


def _receive_terminal(door: socket.socket, child: subprocess.Popen[bytes]) -> int:
    """Take the master of the pseudo-terminal that the runtime made inside, by SCM_RIGHTS."""
    deadline = time.monotonic() + _START_TAKES
    door.settimeout(0.05)
    while True:
        try:
            connection, _ = door.accept()
            break
        except TimeoutError:
            if child.poll() is not None or time.monotonic() > deadline:
                raise _refusal(child) from None
    with connection:
        connection.settimeout(_START_TAKES)
        _, descriptors, _, _ = socket.recv_fds(connection, 256, 1)
    if not descriptors:
        raise _refusal(child)
    os.set_inheritable(descriptors[0], False)
    return descriptors[0]


def _spawn(command: list[str]) -> subprocess.Popen[bytes]:
    """Pipes even where a terminal is used: the runtime gives its own stdio to the app's user."""
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=conmon.ENVIRONMENT, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)


def _wait_started(child: subprocess.Popen[bytes], pid_file: Path, terminal: int = -1) -> None:
    deadline = time.monotonic() + _START_TAKES
    while not _written(pid_file):
        ended = child.poll() is not None and not _written(pid_file)
        if ended or time.monotonic() > deadline:
            raise _refusal(child, terminal)
        time.sleep(0.002)


def _written(pid_file: Path) -> bool:
    try:
        return pid_file.read_text().strip().isdigit()
    except OSError:
        return False


def _refusal(child: subprocess.Popen[bytes], terminal: int = -1) -> EngineError:
    if child.poll() is None:
        return EngineError("The command was not started in time; is the host overloaded?")
    said = _what_is_there(_descriptor(child.stderr)) + _what_is_there(terminal)
    words = " ".join(said.decode(errors="replace").split())[:_SHOWN]
    return EngineError(f"The command could not be run: {words or 'the runtime gave no reason.'}")


def _what_is_there(descriptor: int) -> bytes:
    """Read what an ended process left: a terminal whose users are gone gives an error after its last bytes."""
    if descriptor < 0 or not select.select([descriptor], [], [], 0)[0]:
        return b""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""


def _give_up(child: subprocess.Popen[bytes], pid_file: Path, group: str) -> None:
    child.kill()
    child.wait(_START_TAKES)
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe:
            pipe.close()
    pid_file.unlink(missing_ok=True)
    process.reap_members(group, _REAP_TAKES)


def _descriptor(pipe: Any) -> int:
    return pipe.fileno() if pipe else -1
