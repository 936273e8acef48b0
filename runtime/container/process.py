"""Processes by identity (pid and start time), so that a reused pid is never signalled.

In: pids.  Out: start times, descriptors to wait on, signals sent.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import os
import select
import signal
import time
from pathlib import Path

_UNKNOWN = 0.1  # seconds
_SUPERVISORS = (b"conmon", b"crun", b"runc")


def boot_id() -> str:
    """Return the id of this boot: pids of another boot mean nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def parse_start_time(stat: str) -> int:
    """Return field 22 of /proc/PID/stat, in clock ticks since boot; the command in field 2 may hold anything."""
    return int(stat.rpartition(")")[2].split()[19])


def start_time(pid: int) -> int:
    """Return when `pid` started, 0 when there is no such process."""
    try:
        return parse_start_time(Path(f"/proc/{pid}/stat").read_text(errors="replace"))
    except (OSError, ValueError, IndexError):
        return 0


def open_process(pid: int, started: int) -> int | None:
    """Return a pidfd of the process that was started then, or None when it is gone.

    Raises OSError when that cannot be found out (no descriptor, no memory): who took it for gone would kill it.
    """
    if pid <= 0 or started <= 0:
        return None
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        if parse_start_time(Path(f"/proc/{pid}/stat").read_text(errors="replace")) == started:
            return fd
    except (FileNotFoundError, ProcessLookupError):
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def wait_gone(pid: int, started: int, timeout: float) -> bool:
    """Wait until the process has ended, at most `timeout` seconds; True when it has."""
    try:
        fd = open_process(pid, started)
    except OSError:  # not known: the next look tells
        time.sleep(min(timeout, _UNKNOWN))
        return False
    if fd is None:
        return True
    try:
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        return bool(poller.poll(max(0.0, timeout) * 1000))
    finally:
        os.close(fd)


def send(pid: int, started: int, number: int) -> bool:
    """Signal the process; False when it is gone."""
    fd = open_process(pid, started)
    if fd is None:
        return False
    try:
        signal.pidfd_send_signal(fd, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)


def kill_supervisors(bundle: str) -> None:
    """Kill the conmon and runtime processes of a bundle that has no record, and wait until they are gone."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            pid, started = int(entry.name), start_time(int(entry.name))
            with contextlib.suppress(OSError):
                if is_supervisor((entry / "cmdline").read_bytes(), bundle):
                    end(pid, started, 10)


def is_supervisor(command_line: bytes, bundle: str) -> bool:
    """Tell whether this is a conmon or OCI runtime that was told to use the directory `bundle`."""
    program, *words = command_line.split(b"\0")
    return program.rpartition(b"/")[2] in _SUPERVISORS and bundle.encode() in words


def parse_signal_mask(status: str) -> int:
    """Return the signals that a process blocks or catches, as the bits of /proc/PID/status."""
    lines = (line.split() for line in status.splitlines())
    masks = [int(words[1], 16) for words in lines if words and words[0] in ("SigBlk:", "SigCgt:")]
    return functools.reduce(operator.or_, masks, 0)


_RUNC_INIT = b"runc\0init\0"


def wait_catching(pid: int, number: int, timeout: float) -> None:
    """Wait until the process would notice the signal: the kernel drops it for a PID 1 that has no handler yet, and
    runc's own, which stays for a moment after `runc start`, catches it and does nothing."""
    deadline, bit = time.monotonic() + timeout, 1 << (number - 1)
    while time.monotonic() < deadline:
        try:
            mask = parse_signal_mask(Path(f"/proc/{pid}/status").read_text())
            if mask & bit and Path(f"/proc/{pid}/cmdline").read_bytes() != _RUNC_INIT:
                return
        except OSError:
            return
        time.sleep(0.001)


def descendants(pid: int) -> tuple[int, ...]:
    """Return the children of a process, and theirs, as they are now."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        born = children(waiting.pop())
        found += born
        waiting += born
    return tuple(found)


def children(pid: int) -> tuple[int, ...]:
    """Return the children of a process, ended ones included that nobody has waited for."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += [int(word) for word in (task / "children").read_text().split()]
    return tuple(found)


def end(pid: int, started: int, timeout: float) -> None:
    """Kill the process, wait until it is gone, and collect it if it is ours."""
    if send(pid, started, signal.SIGKILL):
        wait_gone(pid, started, timeout)
    reap(pid)


def reap(pid: int) -> bool:
    """Collect an ended child, so that no zombie stays. False while it still runs; True when it is not ours."""
    if pid <= 0:  # to waitpid(2) that means any child
        return True
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def reap_members(group: str, timeout: float) -> None:
    """Collect what the runtime put into containers and did not wait for: as subreaper this process inherits it.

    Waits for those of `group`, whose end is near. An ended process shows no group any more on cgroup v1, but still
    its inner pid: what this process started itself never has one.
    """
    deadline = time.monotonic() + timeout
    while True:
        orphans = [pid for pid in children(os.getpid()) if _is_inside(pid)]
        left = [pid for pid in orphans if not (_is_zombie(pid) and reap(pid)) and _is_member(pid, group)]
        if not left or time.monotonic() > deadline:
            return
        time.sleep(0.005)


def _is_inside(pid: int) -> bool:
    """Tell whether a process lives in a deeper pid namespace than this one."""
    return len(_status(pid, "NSpid").split()) > len(_status(os.getpid(), "NSpid").split())


def _is_zombie(pid: int) -> bool:
    return _status(pid, "State").startswith("Z")


def _status(pid: int, name: str) -> str:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return line.partition(":")[2].strip()
    return ""


def _is_member(pid: int, group: str) -> bool:
    with contextlib.suppress(OSError):
        paths = (line.split(":", 2)[2] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
        return any(path == group or path.startswith(f"{group}/") for path in paths)
    return False


def reap_soon(pid: int, timeout: float) -> None:
    """Collect a child that is about to end."""
    deadline = time.monotonic() + timeout
    while not reap(pid) and time.monotonic() < deadline:
        time.sleep(0.001)
