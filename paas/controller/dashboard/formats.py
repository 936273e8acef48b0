"""Values as people read them: ages, sizes, durations. Template filters, loaded in every template.

In: datetimes, bytes, seconds.  Out: short text; a time keeps its exact moment in the markup.
"""

from __future__ import annotations

from datetime import UTC, datetime

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

MINUTE, HOUR, DAY = 60, 3600, 86400


def age(then: datetime, now: datetime) -> str:
    """Return how long ago `then` was; static/paas.js keeps the same words current."""
    seconds = int((now - then).total_seconds())
    if seconds < 5:
        return "just now"
    if seconds < MINUTE:
        return f"{seconds} s ago"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min ago"
    if seconds < DAY:
        return f"{seconds // HOUR} h ago"
    if seconds < 14 * DAY:
        return f"{_days(seconds)} ago"
    return f"{then.astimezone(UTC):%-d %b %Y}"


def span(then: datetime, now: datetime) -> str:
    """Return how long it has been so, as the end of "up for"."""
    seconds = int((now - then).total_seconds())
    return (
        _days(seconds)
        if seconds >= DAY
        else age(then, now).removesuffix(" ago").replace("just now", "a moment")
    )


def _days(seconds: int) -> str:
    days = seconds // DAY
    return f"{days} day{'s' if days > 1 else ''}"


@register.filter
def ago(then: datetime | None) -> SafeString | str:
    """Return a `<time>` with the age as its text."""
    if then is None:
        return "never"
    return _time(then, "ago", age(then, timezone.now()))


@register.filter
def elapsed(then: datetime) -> SafeString:
    """Return a `<time>` with how long it has been so as its text."""
    return _time(then, "span", span(then, timezone.now()))


def _time(then: datetime, kind: str, text: str) -> SafeString:
    utc = then.astimezone(UTC)
    title = f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    return format_html('<time datetime="{}" title="{}" data-{}>{}</time>', utc.isoformat(), title, kind, text)


@register.filter
def size(count: float | None) -> str:
    """Return a number of bytes in binary units."""
    value = float(count or 0)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if unit in {"B", "KiB"} or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError


@register.filter
def seconds(value: float | None) -> str:
    """Return a duration: `0.12 s`, `4.2 s`, `3 min 5 s`."""
    if value is None:
        return ""
    if value < 1:
        return f"{value:.2f} s"
    if value < MINUTE:
        return f"{value:.1f} s"
    if value < HOUR:
        return f"{int(value // MINUTE)} min {int(value % MINUTE)} s"
    return f"{int(value // HOUR)} h {int(value % HOUR // MINUTE)} min"


@register.filter
def short(text: str) -> str:
    """Return a commit or digest as people quote it."""
    return text.removeprefix("sha256:")[:7]


@register.filter
def person(user: object | None) -> str:
    return str(user) if user else "the platform"
