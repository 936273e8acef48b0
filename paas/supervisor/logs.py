"""The log files of the supervised processes: their last lines, and their size kept within bounds.

In: a log file that a process appends to.  Out: lines, or the file shortened with its older part beside it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

LIMIT = 10 * 1024**2  # bytes at which a log is rotated
KEPT = 3  # older parts


def last_lines(log: Path, count: int = 15, offset: int = 0) -> str:
    """Return the last lines written at or after `offset`."""
    if not log.exists():
        return ""
    with log.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(offset if offset <= size else 0, size - 32 * 1024))
        text = stream.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-count:])


def rotate(log: Path, limit: int = LIMIT, kept: int = KEPT) -> bool:
    """Move the text to `NAME.log.1` when there is too much of it. The writer keeps its open file (O_APPEND)."""
    if not log.exists() or log.stat().st_size < limit:
        return False
    for number in range(kept - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.rename(log.with_name(f"{log.name}.{number + 1}"))
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    with log.open("r+b") as stream:
        stream.truncate()
    return True
