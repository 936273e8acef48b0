"""What the engine remembers of a container across its own restarts.

In: `Record` values.  Out: the same values, read back from the container's file: the last whole line of it counts.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from pathlib import Path

from runtime.container.layout import Layout
from runtime.container.port import EngineError
from runtime.model import ExitInfo, ImageRef, Struct, decode, encode

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")


class Record(Struct):
    """A container that was made. Process start times (clock ticks since boot) tell a reused pid from the real one.

    `volumes` are caches, `data` first-class volumes; `notes` what making it had to tell the app; `offered` the images
    that lie below its writable layer, by the path that they are images of.
    """

    id: str
    owner: str
    name: str
    boot_id: str
    pid: int
    pid_started: int
    conmon_pid: int
    conmon_started: int
    memory_limit_bytes: int
    slot: int = -1
    address: str = ""
    peers: bool = False
    volumes: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    paths: tuple[tuple[str, str], ...] = ()
    images: tuple[str, ...] = ()
    stop_signal: int = 15
    offered: tuple[tuple[str, ImageRef], ...] = ()
    started_at: float | None = None
    exit: ExitInfo | None = None


def check_id(container: str) -> str:
    """Return `container` if it may name files, cgroups and processes; raises EngineError otherwise."""
    if not _ID.match(container):
        raise EngineError(f"The container id {container!r} must be 1-63 letters, digits, '.', '_' or '-'.")
    return container


def write_atomically(file: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace `file` in one step; a crash leaves the old or the new content, never a part."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fdatasync(fd)
    draft.replace(file)


def save(file: Path, record: Record) -> None:
    """Add the record to its file. Not synced to disk: after a power cut the process it speaks of is gone anyway.

    A further line, not a new file in place of the old: to make a file is what costs most on ext4, which steps over
    every number of one that was removed lately.
    """
    line = b"\n%b\n" % encode(record)  # a line of its own even after one that a full disk cut short
    fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
    finally:
        os.close(fd)


def load(file: Path) -> Record | None:
    """Read the record of a container; None when it was never finished."""
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return None
    for line in reversed(lines):
        with contextlib.suppress(ValueError):
            return decode(line, Record)
    return None


def load_all(layout: Layout) -> tuple[Record, ...]:
    """Read what there is of a host's containers."""
    loaded = (load(layout.record(path.name)) for path in sorted(layout.records.glob("*")))
    return tuple(record for record in loaded if record is not None)
