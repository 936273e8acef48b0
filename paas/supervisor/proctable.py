"""The kernel's process table, read through /proc, and the processes that a killed supervisor left behind.

In: process ids.  Out: whether they are still the same processes; none of them left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from paas.supervisor.layout import Layout, read_document, write_document

DYING = 3.0  # seconds between SIGTERM and SIGKILL for what an earlier run left behind


@dataclass(frozen=True)
class Entry:
    """A process that cannot be mistaken for a later one with the same id. `started`: clock ticks since boot."""

    pid: int
    started: int
    outlived: bool


def started(pid: int) -> int | None:
    """Return when a process started (field 22 of proc(5) stat), or None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def record(layout: Layout, entries: dict[str, Entry]) -> None:
    """Keep the table of running processes for a later run. An empty table removes the file."""
    if not entries:
        layout.process_table.unlink(missing_ok=True)
        return
    rows = {name: [entry.pid, entry.started, entry.outlived] for name, entry in entries.items()}
    write_document(layout.process_table, rows)


def leftovers(layout: Layout) -> dict[str, Entry]:
    """Return what an earlier supervisor recorded and never took out: all of it unless it was stopped properly."""
    rows = read_document(layout.process_table)
    return {name: Entry(*row) for name, row in rows.items()}


def end_leftovers(entries: dict[str, Entry]) -> list[str]:
    """End the processes that are still those of the earlier run; return their names. Blocks for `DYING` seconds."""
    alive = {name: entry for name, entry in entries.items() if started(entry.pid) == entry.started}
    for entry in alive.values():
        _signal(entry, signal.SIGTERM)
    deadline = time.monotonic() + DYING
    while time.monotonic() < deadline and any(_is_there(entry) for entry in entries.values()):
        time.sleep(0.05)
    for entry in entries.values():
        if started(entry.pid) == entry.started or not entry.outlived:
            _signal(entry, signal.SIGKILL)
    return sorted(alive)


def _is_there(entry: Entry) -> bool:
    return started(entry.pid) == entry.started


def _signal(entry: Entry, number: signal.Signals) -> None:
    """Signal a process with its children, or alone when they are to outlive it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if entry.outlived:
            os.kill(entry.pid, number)
        elif _group_is_ours(entry):
            os.killpg(entry.pid, number)


def _group_is_ours(entry: Entry) -> bool:
    """The leader may be gone while its children live; a new leader with this id means that the group is another's."""
    now = started(entry.pid)
    return now is None or now == entry.started
