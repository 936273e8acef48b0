"""How many lines a container may send.

In: lines in the order they were written.  Out: those within the rate, with a counted marker where some are missing.
Pure. The clock is the lines' own time, so that catching up after an outage loses nothing that was written slowly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from runtime.model import LogLine, Stream


@dataclass(frozen=True)
class Bucket:
    """A token bucket: `rate` lines a second, `burst` at once. `dropping` counts the lines of the current loss."""

    rate: float = 1000.0
    burst: float = 5000.0
    tokens: float | None = None
    at: float = 0.0
    dropping: int = 0


def loss_marker(lost: int, why: str, cursor: int, at: float) -> LogLine:
    """The line that stands where lines are missing."""
    noun = "line" if lost == 1 else "lines"
    text = f"Error L10 (output buffer overflow): {lost} {noun} lost: {why}"
    return LogLine(cursor=cursor, at=at, stream=Stream.SYSTEM, text=text)


def limit(bucket: Bucket, lines: Iterable[LogLine]) -> tuple[Bucket, list[LogLine], int]:
    """Return the bucket afterwards, the lines to keep with markers, and how many were dropped."""
    kept: list[LogLine] = []
    dropped = 0
    last: LogLine | None = None
    for line in lines:
        bucket = _refill(bucket, line.at)
        tokens = bucket.tokens or 0.0
        if line.stream is not Stream.SYSTEM and tokens < 1:
            bucket = replace(bucket, dropping=bucket.dropping + 1)
            dropped, last = dropped + 1, line
            continue
        bucket = _mark(bucket, kept, last)
        kept.append(line)
        if line.stream is not Stream.SYSTEM:
            bucket = replace(bucket, tokens=tokens - 1)
    return _mark(bucket, kept, last), kept, dropped


def _refill(bucket: Bucket, at: float) -> Bucket:
    if bucket.tokens is None:
        return replace(bucket, tokens=bucket.burst, at=at)
    gained = max(0.0, at - bucket.at) * bucket.rate
    return replace(bucket, tokens=min(bucket.burst, bucket.tokens + gained), at=max(at, bucket.at))


def _mark(bucket: Bucket, kept: list[LogLine], last: LogLine | None) -> Bucket:
    if bucket.dropping and last:
        why = f"more than {bucket.rate:g} lines a second were written"
        kept.append(loss_marker(bucket.dropping, why, last.cursor, last.at))
        bucket = replace(bucket, dropping=0)
    return bucket
