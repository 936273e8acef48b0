"""When a scheduled command comes up: crontab(5)'s five fields and its nicknames, in UTC.

In: a text such as `*/5 9-17 * * mon-fri`.  Out: a `Schedule`; the first minute after a time that it names.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MONTHS = {
    name: number for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)
}
DAYS = {name: number for number, name in enumerate("sun mon tue wed thu fri sat".split())}
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, MONTHS),
    ("day of the week", 0, 7, DAYS),
)
YEARS = 8  # 29 February comes at least once in as many


@dataclass(frozen=True)
class Schedule:
    """Sets of what fits. `either`: day of month and day of week are both limited, and one of them is enough."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def fits_day(self, day: datetime) -> bool:
        in_month = day.day in self.days
        in_week = (day.weekday() + 1) % 7 in self.weekdays
        return day.month in self.months and (in_month or in_week if self.either else in_month and in_week)


def parse(text: str) -> Schedule:
    """Read a schedule. Raises ValueError naming the field, or saying that it never comes up."""
    words = NICKNAMES.get(text.strip().lower(), text).split()
    if len(words) != len(FIELDS):
        raise ValueError(f"{text!r} is no schedule: five fields, or one of {', '.join(NICKNAMES)}")
    minutes, hours, days, months, weekdays = (
        _field(word, *field) for word, field in zip(words, FIELDS, strict=True)
    )
    limited = not words[2].startswith("*") and not words[4].startswith("*")
    week = frozenset(day % 7 for day in weekdays)
    schedule = Schedule(minutes, hours, days, months, week, limited)
    if not limited and min(days) > max(calendar.monthrange(2024, month)[1] for month in months):
        raise ValueError(f"{text!r} never comes up: no such month has that day")
    return schedule


def _field(text: str, name: str, least: int, most: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        span, _, step = part.partition("/")
        if "/" in part and (not step.isdigit() or not 1 <= int(step) <= most):
            raise ValueError(f"{part!r} has no step that the {name} could take")
        found.update(range(*_span(span, bool(step), name, least, most, names), int(step or 1)))
    return frozenset(found)


def _span(
    text: str, stepped: bool, name: str, least: int, most: int, names: dict[str, int]
) -> tuple[int, int]:
    """Return first and last + 1. `5/10` goes on to the end."""
    if text == "*":
        return least, (most if name != "day of the week" else 6) + 1
    low, dash, high = text.partition("-")
    first = _number(low, name, least, most, names)
    last = _number(high, name, least, most, names) if dash else most if stepped else first
    if last < first:
        raise ValueError(f"{text!r} of the {name} runs backwards")
    return first, last + 1


def _number(text: str, name: str, least: int, most: int, names: dict[str, int]) -> int:
    number = names.get(text, int(text) if text.isdigit() else -1)
    if not least <= number <= most:
        raise ValueError(f"{text!r} is no {name}: {least} to {most}")
    return number


def following(schedule: Schedule, after: datetime) -> datetime:
    """Return the first minute later than `after` that fits. Raises ValueError when none does."""
    moment = after.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    day = moment.replace(hour=0, minute=0)
    for _ in range(YEARS * 366 + 2):
        if schedule.fits_day(day):
            for hour in sorted(schedule.hours):
                for minute in sorted(schedule.minutes):
                    found = day.replace(hour=hour, minute=minute)
                    if found >= moment:
                        return found
        day += timedelta(days=1)
    raise ValueError("the schedule never comes up")
