"""crontab(5)'s schedules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paas.scheduler.cron import following, parse

pytestmark = pytest.mark.unit

START = datetime(2026, 2, 27, 10, 3, 30, tzinfo=UTC)  # a Friday

NEXT = {
    "* * * * *": "2026-02-27 10:04",
    "*/5 * * * *": "2026-02-27 10:05",
    "3 * * * *": "2026-02-27 11:03",
    "0 9-17/4 * * *": "2026-02-27 13:00",
    "30 8 * * mon-fri": "2026-03-02 08:30",
    "0 0 * * 7": "2026-03-01 00:00",
    "0 0 * * 0": "2026-03-01 00:00",
    "0 0 29 2 *": "2028-02-29 00:00",
    "0 0 31 * *": "2026-03-31 00:00",
    "0 0 13 * fri": "2026-03-06 00:00",  # either of them is enough
    "0 0 13 * *": "2026-03-13 00:00",
    "15,45 10 * feb *": "2026-02-27 10:15",
    "10/20 * * * *": "2026-02-27 10:10",
    "@hourly": "2026-02-27 11:00",
    "@daily": "2026-02-28 00:00",
    "@weekly": "2026-03-01 00:00",
    "@monthly": "2026-03-01 00:00",
    "@yearly": "2027-01-01 00:00",
}


@pytest.mark.parametrize("text", NEXT)
def test_the_next_time(text: str) -> None:
    assert f"{following(parse(text), START):%Y-%m-%d %H:%M}" == NEXT[text]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "* * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "5-1 * * * *",
    ]
    + [
        "a * * * *",
        "@reboot",
        "* * * * * *",
        "0 0 30 2 *",
        "0 0 31 4,6 *",
        "1--3 * * * *",
        "-1 * * * *",
        "²  * * * *",
    ],
)
def test_no_schedule(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        following(parse(text), START)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**7), st.sampled_from(sorted(NEXT)))
def test_nothing_that_fits_lies_in_between(minutes: int, text: str) -> None:
    schedule, after = parse(text), START + timedelta(minutes=minutes)
    found = following(schedule, after)
    assert found > after
    assert found.minute in schedule.minutes and found.hour in schedule.hours and schedule.fits_day(found)
    assert following(schedule, found - timedelta(minutes=1)) == found
