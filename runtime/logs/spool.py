"""The output of one container on disk, and readers that walk along it.

In: the file conmon appends to.  Out: lines with cursors that stay valid over rotation and agent restarts.

A cursor is the number of bytes written before it since the container first existed. A rotated file carries the
cursor of its first byte in its name (`NAME.<cursor>`), so the layout on disk is all there is to know.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet

from runtime.logs.conmon import Flood, Joiner, count_flood, count_lines, parse, render_system
from runtime.logs.limit import loss_marker
from runtime.model import LogLine, Stream

MAX_BYTES = 10 * 1024**2
READ_BYTES = 256 * 1024


@dataclass(frozen=True)
class Segment:
    """One file of the spool: bytes `base` to `base + size` of the stream."""

    path: Path
    base: int
    size: int

    @property
    def end(self) -> int:
        return self.base + self.size


class Spool:
    """The files of one container, oldest first: at most one rotated file and the current one."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self.readers: WeakSet[Reader] = WeakSet()
        self._max_bytes = max_bytes

    def segments(self) -> list[Segment]:
        """What is on disk now."""
        found: list[Segment] = []
        for base, path in sorted(self._rotated()):
            size = _size(path)
            if size is not None:
                found.append(Segment(path, base, size))
        size = _size(self.path)
        if size is not None:
            found.append(Segment(self.path, found[-1].end if found else 0, size))
        return found

    def end(self) -> int:
        """The cursor after the last byte."""
        segments = self.segments()
        return segments[-1].end if segments else 0

    def write_system(self, text: str, *, end: bool = False) -> None:
        """Append a line of the agent's own to the file conmon appends to."""
        data = render_system(text, time.time(), end=end)
        segments = self.segments()
        target = segments[-1].path if segments else self.path
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)

    def needs_rotation(self) -> bool:
        return (_size(self.path) or 0) > self._max_bytes

    def half_rotated(self) -> bool:
        """Set aside, and the writer not told yet (or not there)."""
        return bool(self._rotated()) and not self.path.exists()

    def set_aside(self) -> None:
        """Rename the current file. The writer goes on in it until it is told to open `path` anew."""
        current = self.segments()[-1]
        current.path.rename(self.path.with_name(f"{self.path.name}.{current.base}"))

    def hold(self) -> tuple[Reader, ...]:
        """Let readers stand where they are, for `drop_old` in another thread; `release` lets them go on."""
        readers = tuple(self.readers)
        for reader in readers:
            reader.held = True
        return readers

    def release(self, readers: tuple[Reader, ...]) -> None:
        for reader in readers:
            reader.held = False

    def drop_old(self, readers: tuple[Reader, ...] = ()) -> None:
        """Delete all but the newest rotated file; readers that had not got through count what they lost.

        That takes long after a flood, whose file may have grown to many times its limit.
        """
        for old in self.segments()[:-2]:
            for reader in readers or tuple(self.readers):
                reader.count_lost(old)
            old.path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete every file of the spool."""
        for _, path in self._rotated():
            path.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _rotated(self) -> list[tuple[int, Path]]:
        prefix = f"{self.path.name}."
        try:
            names = os.listdir(self.path.parent)  # noqa: PTH208 - half the price of iterdir
        except FileNotFoundError:
            return []
        suffixes = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        return [(int(base), self.path.with_name(prefix + base)) for base in suffixes if base.isdigit()]


class Reader:
    """A place in a spool. `cursor` is that of the last line returned."""

    def __init__(self, spool: Spool, cursor: int = 0) -> None:
        self.spool = spool
        self.cursor = cursor
        self.position = cursor
        self._joiner = Joiner()
        self._lost = 0
        self.held = False  # what it would read next is being counted as lost
        spool.readers.add(self)

    def take_lost(self) -> int:
        """How many lines were rotated away unread since the last call."""
        lost, self._lost = self._lost, 0
        return lost

    def count_lost(self, segment: Segment) -> None:
        """Told before `segment` is deleted."""
        offset = max(0, self.position - segment.base)
        while offset < segment.size:
            data = _read_at(segment.path, offset, READ_BYTES)
            whole = data.rfind(b"\n") + 1
            self._lost += count_lines(data[:whole])
            offset += whole or len(data) or segment.size

    def read(self, max_bytes: int = READ_BYTES) -> tuple[list[LogLine], bool]:
        """Return the next lines, and whether there is more to read at once.

        Output that was rotated away before it was read is replaced by one marker line.
        """
        if self.held:
            return [], True
        segments = self.spool.segments()
        if not segments:
            return [], False
        lines = self._skip_lost(segments[0])
        segment = next((part for part in segments if part.base <= self.position < part.end), None)
        if segment is None:
            return lines, False
        chunk = _read_at(segment.path, self.position - segment.base, max_bytes)
        pieces, consumed = parse(chunk, self.position)
        final = segment is not segments[-1]
        if not consumed and (final or len(chunk) >= max_bytes):
            consumed = len(chunk)  # a torn line: pass over it
        self.position += consumed
        for piece in pieces:
            lines.extend(self._joiner.feed(piece))
        if lines:
            self.cursor = lines[-1].cursor
        return lines, bool(consumed) and self.position < segments[-1].end

    def flood(self, rate: float, max_bytes: int = READ_BYTES) -> Flood | None:
        """Count what would be read next, if it is a full chunk of lines written faster than `rate` a second."""
        for segment in self.spool.segments():
            if segment.base <= self.position < segment.end:
                chunk = _read_at(segment.path, self.position - segment.base, max_bytes)
                return count_flood(chunk, rate) if len(chunk) == max_bytes else None
        return None

    def pass_over(self, flood: Flood) -> None:
        """Go on behind it."""
        self.position += flood.size
        self._joiner = Joiner()

    def finish(self) -> list[LogLine]:
        """Return what was left without a newline, once the container has ended and all is read."""
        lines = self._joiner.flush()
        if lines:
            self.cursor = lines[-1].cursor
        return lines

    def _skip_lost(self, oldest: Segment) -> list[LogLine]:
        if self.position >= oldest.base:
            return []
        self.position = oldest.base
        self._joiner = Joiner()
        if self._lost:
            return [
                loss_marker(self._lost, "written faster than they could be read", oldest.base, time.time())
            ]
        text = "Earlier output is no longer kept"
        return [LogLine(cursor=oldest.base, at=time.time(), stream=Stream.SYSTEM, text=text)]


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _read_at(path: Path, offset: int, count: int) -> bytes:
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            return file.read(count)
    except FileNotFoundError:  # rotated away at this moment; the next read finds it under its new name
        return b""
