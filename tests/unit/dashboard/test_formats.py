"""Ages, sizes and durations as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from paas.controller.dashboard.formats import age, seconds, size, span

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(seconds=-3), "just now"),
        (timedelta(seconds=4), "just now"),
        (timedelta(seconds=59), "59 s ago"),
        (timedelta(seconds=60), "1 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=23), "23 h ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=13, hours=23), "13 days ago"),
        (timedelta(days=14), "15 Feb 2026"),
    ],
)
def test_age(ago: timedelta, text: str) -> None:
    assert age(NOW - ago, NOW) == text


@pytest.mark.parametrize(
    ("ago", "text"),
    [(timedelta(seconds=1), "a moment"), (timedelta(minutes=3), "3 min"), (timedelta(days=40), "40 days")],
)
def test_span(ago: timedelta, text: str) -> None:
    assert span(NOW - ago, NOW) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "0 B"),
        (1023, "1023 B"),
        (2048, "2 KiB"),
        (512 * 1024**2, "512 MiB"),
        (2.5 * 1024**3, "2.5 GiB"),
        (1 << 44, "16384 GiB"),
    ],
)
def test_size(count: float | None, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.123, "0.12 s"), (4.24, "4.2 s"), (185.9, "3 min 5 s"), (7500, "2 h 5 min")],
)
def test_seconds(value: float | None, text: str) -> None:
    assert seconds(value) == text
