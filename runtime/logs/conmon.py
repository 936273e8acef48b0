"""The lines conmon writes, joined into lines of output.

In: bytes of `RFC3339nano stream F|P text` lines (the CRI log format).  Out: whole lines with their cursor. Pure.

A P piece is a part of a line, an F piece its end. The agent writes its own lines into the same file as
`system F:end` when a run is over, which also ends lines that the process left without a newline.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from runtime.model import LogLine, Stream

SPLIT_MARK = " [line continues]"
MAX_LINE = 10_000 - len(SPLIT_MARK)  # bytes; what is longer comes as several lines (logplex does the same)
END_TAG = b"F:end"
_OWN = re.compile(rb"^\S+ system ", re.MULTILINE)


@dataclass(frozen=True)
class Piece:
    """One physical line: `end` is the cursor after it."""

    at: float
    stream: Stream
    tag: bytes
    data: bytes
    end: int


@dataclass
class Joiner:
    """Joins P pieces per stream; remembers unfinished lines between calls."""

    pending: dict[Stream, list[Piece]] = field(default_factory=dict)

    def feed(self, piece: Piece) -> list[LogLine]:
        """Take one piece; return the lines it completes, oldest first."""
        lines = self.flush() if piece.tag == END_TAG else []
        held = self.pending.setdefault(piece.stream, [])
        if held and sum(len(part.data) for part in (*held, piece)) > MAX_LINE:
            lines.append(_join(held, mark=True))
            held = self.pending[piece.stream] = []
        held.append(piece)
        if not piece.tag.startswith(b"P"):
            lines.append(_join(self.pending.pop(piece.stream), mark=False))
        return lines

    def flush(self) -> list[LogLine]:
        """Return what is unfinished as lines (the process has ended)."""
        held = sorted(self.pending.values(), key=lambda pieces: pieces[-1].end)
        self.pending = {}
        return [_join(pieces, mark=False) for pieces in held]


def _join(pieces: list[Piece], *, mark: bool) -> LogLine:
    text = b"".join(piece.data for piece in pieces).decode("utf-8", "replace")
    return LogLine(
        cursor=pieces[-1].end,
        at=pieces[-1].at,
        stream=pieces[-1].stream,
        text=text + SPLIT_MARK if mark else text,
    )


def parse(chunk: bytes, start: int) -> tuple[list[Piece], int]:
    """Parse the whole lines of `chunk`, whose first byte has offset `start`. Return pieces and bytes consumed.

    A line that is not in the format (a torn write) is passed over.
    """
    end = chunk.rfind(b"\n") + 1
    pieces, offset = [], start
    for raw in chunk[:end].split(b"\n")[:-1]:
        offset += len(raw) + 1
        piece = _parse_line(raw, offset)
        if piece:
            pieces.append(piece)
    return pieces, end


@dataclass(frozen=True)
class Flood:
    """Lines that were counted and not read: how many, the time of the last, and how many bytes they are."""

    lines: int
    at: float
    size: int


def count_flood(chunk: bytes, rate: float) -> Flood | None:
    """Count the whole lines of `chunk` if the process wrote them faster than `rate` a second.

    Counting takes a twentieth of parsing. A line of the agent's own makes the chunk worth reading. Pure.
    """
    whole = chunk[: chunk.rfind(b"\n") + 1]
    first = _parse_line(whole[: whole.find(b"\n")], 0)
    last = _parse_line(whole[whole.rfind(b"\n", 0, -1) + 1 : -1], 0)
    if first is None or last is None or (b" system F" in whole and _OWN.search(whole)):
        return None
    lines = count_lines(whole)
    return Flood(lines, last.at, len(whole)) if lines > rate * (last.at - first.at) else None


def count_lines(whole: bytes) -> int:
    """Count the lines of output in whole lines of the file: one may have several pieces, all but the last marked P."""
    return max(0, whole.count(b"\n") - whole.count(b" stdout P ") - whole.count(b" stderr P "))


def _parse_line(raw: bytes, end: int) -> Piece | None:
    parts = raw.split(b" ", 3)
    if len(parts) < 3:
        return None
    try:
        at = datetime.fromisoformat(parts[0].decode("ascii")).timestamp()
        stream = Stream(parts[1].decode("ascii"))
    except ValueError:
        return None
    return Piece(at=at, stream=stream, tag=parts[2], data=parts[3] if len(parts) == 4 else b"", end=end)


def render_system(text: str, at: float, *, end: bool = False) -> bytes:
    """One line of the agent's own, in the same format. Newlines in `text` become spaces."""
    stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")
    tag = END_TAG.decode() if end else "F"
    return f"{stamp} system {tag} {' '.join(text.splitlines())}\n".encode("utf-8", "replace")
