"""conmon, the supervisor that outlives the agent: it holds stdio, the log file and the exit status.

In: names and paths.  Out: argument lists, and the pid that conmon reports over its sync pipe.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import shlex
import socket
import subprocess
import time
from pathlib import Path

import msgspec

from runtime import shapes
from runtime.container.port import EngineError
from runtime.model import Struct

PACKET = 8000  # conmon reads at most 8191 bytes of one
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


class Places(Struct):
    """Where one container's files are."""

    bundle: str
    state: str
    exits: str
    log: str


class _SyncReport(msgspec.Struct):
    data: int
    message: str = ""


class Stdio(Struct):
    """How a container is connected: a terminal or pipes, open for input or not, its output logged or not."""

    tty: bool = False
    stdin: bool = False
    logged: bool = True


def arguments(container: str, runtime: str, places: Places, stdio: Stdio = Stdio()) -> list[str]:  # noqa: B008
    """Return conmon's command line; it holds no secret, the environment is in config.json.

    --stdin, even when nothing is ever sent: without it stdin is the host's /dev/null, and crun gives the files of
    stdin, stdout and stderr to the app's user, who could then chmod the /dev/null of the whole host. With a terminal
    conmon leaves crun /dev/null all the same: there a shell hands it a file of the bundle instead.
    A terminal outlives its clients, hence --leave-stdin-open; with it a pipe could never be closed.
    """
    bundle = places.bundle
    log = f"k8s-file:{places.log}" if stdio.logged else "none"
    words = [runtime, "--root", places.state]
    if stdio.tty:
        words = ["/bin/sh", "-c", f'exec "$0" "$@" <>{shlex.quote(f"{bundle}/stdio")} >&0', *words]
    return [
        *("conmon", "--api-version", "1", "-c", container, "-u", container, "-n", container),
        *("-r", words[0], *(part for word in words[1:] for part in ("--runtime-arg", word))),
        *("-b", bundle, "-p", f"{bundle}/pidfile", "-P", f"{bundle}/conmon.pid"),
        *("--exit-dir", places.exits, "-l", log),
        *("--full-attach", "--stdin", "--no-sync-log", "--log-level", "error"),
        *(("--terminal", "--leave-stdin-open") if stdio.tty else ()),
    ]


def create(
    container: str, runtime: str, places: Places, stdio: Stdio, timeout: float = 60.0
) -> tuple[int, int]:
    """Start conmon, which runs `crun create`. Returns the pids of the container and of conmon.

    Raises EngineError in the runtime's own words when the container could not be made.
    """
    words = Path(places.bundle) / "conmon.err"
    read_end, write_end = os.pipe()
    try:
        with words.open("wb") as stderr:
            command = arguments(container, runtime, places, stdio)
            process = _spawn(command, places.bundle, write_end, stderr.fileno())
        os.close(write_end)
        write_end = -1
        line = _read_line(read_end, timeout)
        process.wait(timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"conmon could not be run: {error}.") from error
    finally:
        os.close(read_end)
        if write_end >= 0:
            os.close(write_end)
    pid = parse_report(line, words.read_text(errors="replace"))
    if not read_pid(
        Path(places.bundle)
    ):  # without it a container that runs would be taken for one that is lost
        raise EngineError("conmon did not write down its process id; is the disk full?")
    if not stdio.stdin:
        close_stdin(Path(places.bundle))
    return pid, read_pid(Path(places.bundle))


def read_pid(bundle: Path) -> int:
    """Return the pid that conmon wrote down, 0 when it has not."""
    try:
        return int((bundle / "conmon.pid").read_text())
    except (OSError, ValueError):
        return 0


def close_stdin(bundle: Path) -> None:
    """Give the container an end of file on stdin: conmon closes it when the first attached client leaves."""
    connect(bundle).close()


def connect(bundle: Path) -> socket.socket:
    """Attach to the container: packets of at most `PACKET` bytes in, packets that begin with 2 (stdout) or 3 out.

    Shutting down the writing half closes a pipe's stdin for good, and so does closing the connection.
    Raises OSError when conmon is gone.
    """
    directory = os.open(bundle, os.O_PATH | os.O_CLOEXEC)
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        client.settimeout(10)
        client.connect(f"/proc/self/fd/{directory}/attach")  # a socket's path has at most 107 bytes
    except OSError:
        client.close()
        raise
    finally:
        os.close(directory)
    return client


def _spawn(command: list[str], directory: str, sync: int, stderr: int) -> subprocess.Popen[bytes]:
    # conmon writes an `oom` file into its working directory, hence cwd.
    return subprocess.Popen(
        command,
        cwd=directory,
        env=ENVIRONMENT | {"_OCI_SYNCPIPE": str(sync)},
        pass_fds=(sync,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
    )


def parse_report(line: bytes, stderr: str = "") -> int:
    """Return the pid from conmon's report. Raises EngineError with the runtime's words when there is none."""
    try:
        report = shapes.decode(line, _SyncReport)
    except ValueError as error:
        raise EngineError(f"conmon ended without a report. {_tidy(stderr)}") from error
    if report.data > 0:
        return report.data
    raise EngineError(f"The container could not be made: {_tidy(report.message or stderr)}")


def _tidy(message: str) -> str:
    return " ".join(message.split()) or "It said nothing; is the host out of memory or processes?"


def _read_line(fd: int, timeout: float) -> bytes:
    data, deadline = b"", time.monotonic() + timeout
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    while not data.endswith(b"\n"):
        if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise EngineError(
                f"The container was not made within {timeout:.0f} seconds; is the host overloaded?"
            )
        chunk = os.read(fd, 65536)
        if not chunk:
            break
        data += chunk
    return data


def reopen_log(bundle: Path) -> None:
    """Ask conmon to open its log file anew; nothing when conmon is gone."""
    _tell(bundle, b"2 0 0\n")


def resize(bundle: Path, rows: int, columns: int) -> None:
    """Give the container's terminal another size; nothing when conmon is gone."""
    _tell(bundle, b"1 %d %d\n" % (rows, columns))


def _tell(bundle: Path, line: bytes) -> None:
    with contextlib.suppress(OSError):
        fd = os.open(bundle / "ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)


def let_go(runtime: str, state: str, container: str) -> bool:
    """Start a created container as `crun start` does, by a byte into its fifo, 8 ms sooner. False: ask the runtime.

    Written before the fifo is removed: were the agent killed in between, nobody reads it any more (ENXIO), and the
    next one knows that the container runs.
    """
    if Path(runtime).name != "crun":  # runc's protocol is another
        return False
    fifo = Path(state, container, "exec.fifo")
    try:
        descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ENXIO:
            return False
    else:
        try:
            os.write(descriptor, b"\0")
        finally:
            os.close(descriptor)
    fifo.unlink(missing_ok=True)
    return True


def run_runtime(
    runtime: str, state: str, *words: str, timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run the OCI runtime itself (start, state, delete). Raises EngineError when it hangs or cannot be run."""
    try:
        return subprocess.run(
            [runtime, "--root", state, *words],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"{runtime} {words[0]} could not be run: {error}.") from error
