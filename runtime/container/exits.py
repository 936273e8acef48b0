"""How a run ended, in the agent's words.

In: the status that conmon wrote and the out-of-memory count of the cgroup.  Out: an `ExitInfo`.
"""

from __future__ import annotations

import re
import signal

from runtime.model import ExitInfo, ExitReason

INIT_FAILED = 1  # what catatonit ends with when it cannot run the command
NOT_STARTED = 125  # what container tools say when there never was a process
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127
_EXEC_FAILURE = re.compile(rb"ERROR \(catatonit:\d+\): failed to exec pid1: (.+)\n\Z")


def classify(code: int, oom_kills: int, memory_limit: int, at: float) -> ExitInfo:
    """Explain a wait status as a shell shows it. An out-of-memory kill only explains a run that failed."""
    if oom_kills and code != 0:
        message = f"It used more than its {memory_limit // 2**20} MiB of memory and was stopped."
        return ExitInfo(reason=ExitReason.OOM, code=code, signal=_signal_of(code), at=at, message=message)
    if code == _NOT_FOUND:
        message = "The command was not found; check its name and the PATH."
        return ExitInfo(reason=ExitReason.NOT_FOUND, code=code, at=at, message=message)
    if code == _NOT_EXECUTABLE:
        message = "The command is not executable; set its executable bit or name an interpreter."
        return ExitInfo(reason=ExitReason.NOT_EXECUTABLE, code=code, at=at, message=message)
    if number := _signal_of(code):
        message = f"It was ended by {signal.Signals(number).name}."
        return ExitInfo(reason=ExitReason.SIGNALED, code=code, signal=number, at=at, message=message)
    message = f"{oom_kills} of its processes were stopped at the memory limit." if oom_kills else ""
    return ExitInfo(reason=ExitReason.EXITED, code=code, at=at, message=message)


def exec_failure(log_tail: bytes) -> int | None:
    """Return a shell's status (126, 127) when the last words of the log are the init's, that it could not exec."""
    match = _EXEC_FAILURE.search(_join_stderr(log_tail))
    if match is None:
        return None
    return _NOT_FOUND if match[1].startswith(b"No such file") else _NOT_EXECUTABLE


def _join_stderr(log_tail: bytes) -> bytes:
    """Put conmon's lines `time stream F|P text` together again: P is a piece of a line, F its end."""
    fields = (line.split(b" ", 3) for line in log_tail.splitlines())
    pieces = (field for field in fields if len(field) == 4 and field[1] == b"stderr")
    return b"".join(text + (b"\n" if kind == b"F" else b"") for _, _, kind, text in pieces)


def lost(at: float) -> ExitInfo:
    """The supervisor or the whole host went down: nobody knows the status."""
    message = "Its supervisor or the host went down; the exit status is unknown."
    return ExitInfo(reason=ExitReason.LOST, at=at, message=message)


def not_started(message: str, at: float) -> ExitInfo:
    return ExitInfo(reason=ExitReason.NOT_STARTED, code=NOT_STARTED, at=at, message=message)


def _signal_of(code: int) -> int | None:
    """Return the signal of a 128+n status, None for any other."""
    return code - 128 if code - 128 in set(signal.Signals) else None
