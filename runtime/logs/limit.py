"""How many lines a container may send.

In: lines in the order they were written.  Out: those within the rate, with a counted marker where some are missing.
Pure. The clock is the lines' own time, so that catching up after an outage loses nothing that was written slowly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from runtime.model import LogLine, Stream

KILO = 1000  # characters of a line that cost as much as another line
PAUSE = (
    0.1  # seconds' worth of lines that must fit again before a flood is let through: few markers, not many
)


@dataclass(frozen=True)
class Bucket:
    """A token bucket: `rate` lines (or kB) a second, `burst` at once. `dropping` counts the lines of the current
    loss, which reaches to `cursor`; `over`: the last line was dropped."""

    rate: float = 1000.0
    burst: float = 5000.0
    tokens: float | None = None
    at: float = 0.0
    over: bool = False
    dropping: int = 0
    cursor: int = 0


def loss_marker(lost: int, why: str, cursor: int, at: float) -> LogLine:
    """The line that stands where lines are missing."""
    noun = "line" if lost == 1 else "lines"
    text = f"Error L10 (output buffer overflow): {lost} {noun} lost: {why}"
    return LogLine(cursor=cursor, at=at, stream=Stream.SYSTEM, text=text)


def limit(
    bucket: Bucket, lines: Iterable[LogLine], *, more: bool = False
) -> tuple[Bucket, list[LogLine], int]:
    """Return the bucket afterwards, the lines to keep with markers, and how many were dropped.

    With `more` to come at once, a loss at the end is marked where it ends and not before.
    """
    kept: list[LogLine] = []
    dropped = 0
    for line in lines:
        bucket = _refill(bucket, line.at)
        if line.stream is not Stream.SYSTEM:
            if _refuses(bucket):
                bucket = replace(bucket, over=True, dropping=bucket.dropping + 1, cursor=line.cursor)
                dropped += 1
                continue
            cost = 1 + len(line.text) // KILO
            bucket = replace(bucket, tokens=(bucket.tokens or 0.0) - cost, over=False)
        bucket = _mark(bucket, kept)
        kept.append(line)
    return bucket if more else _mark(bucket, kept), kept, dropped


def skip(bucket: Bucket, lines: int, at: float, cursor: int) -> Bucket | None:
    """Return the bucket after `lines` that all would be dropped, the last of them at `at`; None when some would not.

    So a flood need not be looked at line by line.
    """
    after = _refill(bucket, at)
    if not bucket.over or not _refuses(after):
        return None
    return replace(after, dropping=after.dropping + lines, cursor=cursor)


def _refuses(bucket: Bucket) -> bool:
    return (bucket.tokens or 0.0) < (max(1.0, bucket.rate * PAUSE) if bucket.over else 1.0)


def _refill(bucket: Bucket, at: float) -> Bucket:
    if bucket.tokens is None:
        return replace(bucket, tokens=bucket.burst, at=at)
    gained = max(0.0, at - bucket.at) * bucket.rate
    return replace(bucket, tokens=min(bucket.burst, bucket.tokens + gained), at=max(at, bucket.at))


def _mark(bucket: Bucket, kept: list[LogLine]) -> Bucket:
    if not bucket.dropping:
        return bucket
    why = f"more than {bucket.rate:g} lines or kB a second were written"
    kept.append(loss_marker(bucket.dropping, why, bucket.cursor, bucket.at))
    return replace(bucket, dropping=0)
