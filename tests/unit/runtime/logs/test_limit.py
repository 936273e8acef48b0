"""Lines a second: what is kept, what is counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.logs.limit import Bucket, limit, skip
from runtime.model import LogLine, Stream

pytestmark = pytest.mark.unit


def lines(*times: float, stream: Stream = Stream.STDOUT) -> list[LogLine]:
    return [LogLine(cursor=n, at=at, stream=stream, text=str(n)) for n, at in enumerate(times, 1)]


def test_within_the_rate_nothing_is_lost() -> None:
    given_lines = lines(*(n * 0.11 for n in range(100)))
    _, kept, dropped = limit(Bucket(rate=10, burst=1), given_lines)
    assert (kept, dropped) == (given_lines, 0)


def test_a_burst_passes_and_the_rest_is_counted_where_it_is_missing() -> None:
    given_lines = lines(0, 0, 0, 0, 0, 10)
    _, kept, dropped = limit(Bucket(rate=1, burst=2), given_lines)
    assert dropped == 3
    assert [line.text for line in kept] == [
        "1",
        "2",
        "Error L10 (output buffer overflow): 3 lines lost: more than 1 lines or kB a second were written",
        "6",
    ]
    assert (kept[2].stream, kept[2].cursor) == (Stream.SYSTEM, 5)


def test_the_agents_own_lines_are_never_dropped() -> None:
    system = lines(0, 0, 0, stream=Stream.SYSTEM)
    _, kept, dropped = limit(Bucket(rate=1, burst=1), system)
    assert (kept, dropped) == (system, 0)


def test_catching_up_after_an_outage_loses_nothing_written_slowly() -> None:
    hour = lines(*(float(n) for n in range(3600)))  # read all at once, written one a second
    _, kept, dropped = limit(Bucket(rate=2, burst=5), hour)
    assert (len(kept), dropped) == (3600, 0)


def test_a_flood_read_in_many_parts_has_few_markers() -> None:
    """A hundred thousand lines in one second: a thousand pass at most, and a marker now and then counts the others."""
    bucket, kept, dropped = Bucket(tokens=0), [], 0
    flood = lines(*(number / 100_000 for number in range(100_000)))
    for start in range(0, len(flood), 1000):
        part = flood[start : start + 1000]
        bucket, some, lost = limit(bucket, part, more=start + 1000 < len(flood))
        kept, dropped = kept + some, dropped + lost
    markers = [line for line in kept if line.stream is Stream.SYSTEM]
    assert len(markers) <= 11
    assert sum(int(line.text.split(": ")[1].split()[0]) for line in markers) == dropped
    assert len(kept) - len(markers) + dropped == len(flood)
    assert 900 <= len(kept) - len(markers) <= 1000


def test_long_lines_count_for_more() -> None:
    long = [replace_text(line, "x" * 9999) for line in lines(*([0.0] * 1000))]
    _, kept, dropped = limit(Bucket(), long)
    assert dropped == 500, "5000 at once, ten for each"
    assert len(kept) == 501


def replace_text(line: LogLine, text: str) -> LogLine:
    return LogLine(cursor=line.cursor, at=line.at, stream=line.stream, text=text)


@given(st.lists(st.floats(0, 10), max_size=60), st.integers(0, 60))
def test_kept_and_dropped_add_up_however_the_lines_are_cut(times: list[float], cut: int) -> None:
    given_lines = lines(*sorted(times))
    bucket, first, lost_first = limit(Bucket(rate=2, burst=3), given_lines[:cut])
    _, second, lost_second = limit(bucket, given_lines[cut:])
    kept = [line for line in first + second if line.stream is Stream.STDOUT]
    _, whole, lost = limit(Bucket(rate=2, burst=3), given_lines)
    assert len(kept) + lost_first + lost_second == len(given_lines)
    assert lost_first + lost_second == lost
    assert kept == [line for line in whole if line.stream is Stream.STDOUT]


def test_what_would_be_dropped_need_not_be_looked_at() -> None:
    full = Bucket(rate=10, burst=1, tokens=0.0, at=100.0, over=True, dropping=2)
    after = skip(full, 500, 100.05, 9000)
    assert after is not None
    assert (after.dropping, after.cursor, after.over) == (502, 9000, True)
    assert skip(after, 500, 100.2, 9999) is None  # by then some may pass
    assert skip(Bucket(rate=10, burst=1, tokens=0.0, at=100.0), 500, 100.0, 1) is None
