"""Paging by `Range` header, as Heroku's clients write it.

In: a Range header and a list or a queryset.  Out: one page of it, with the header for the next one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

from paas.errors import RangeNotSatisfiable

DEFAULT_PAGE = 200
LARGEST_PAGE = 1000

# FIELD [START]..[END]; OPTIONS. A `]` before a bound leaves the bound itself out.
RANGE = re.compile(
    r"\s*(?P<field>\w+)?\s*(?P<start>\]?[^;\s]*?)\.\.(?P<end>[^;\s]*)\s*(?:;(?P<options>.*))?", re.S
)
OPTION = re.compile(r"(order|max)\s*=\s*([^\s,;]*)")

Row = TypeVar("Row", bound=Model)
Item = TypeVar("Item")


@dataclass(frozen=True)
class Range:
    """What part of a list is wanted. `start` is where the listing begins in its order, so with `desc` the largest."""

    field: str
    start: str = ""
    start_exclusive: bool = False
    end: str = ""
    descending: bool = False
    max: int = DEFAULT_PAGE

    def __str__(self) -> str:
        bracket = "]" if self.start_exclusive else ""
        order = ", order=desc" if self.descending else ""
        return f"{self.field} {bracket}{self.start}..{self.end}; max={self.max}{order}"


@dataclass(frozen=True)
class Field:
    """A field that a list can be ordered by: its key in a row and how its text in a header is read."""

    key: str
    read: Callable[[str], Any] = str


@dataclass(frozen=True)
class Page:
    """One page. `next` is empty on the last one."""

    items: list[Any]
    content: str = ""
    next: str = ""


def parse(header: str, fields: Sequence[str], default: str) -> Range:
    """Read a Range header. Unknown fields fall back to the default one; nonsense raises RangeNotSatisfiable."""
    if not header.strip():
        return Range(default)
    match = RANGE.fullmatch(header)
    if match is None:
        raise RangeNotSatisfiable(
            f"The range {header!r} cannot be read. Use for example `{default} ..; max=10`."
        )
    options = dict(OPTION.findall(match["options"] or ""))
    limit = _limit(options.get("max", ""))
    descending = options.get("order", "asc").lower() == "desc"
    field = match["field"] or default
    if field not in fields:
        return Range(default, descending=descending, max=limit)
    start = match["start"]
    return Range(field, start.lstrip("]"), start.startswith("]"), match["end"], descending, limit)


def _limit(text: str) -> int:
    if not text:
        return DEFAULT_PAGE
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise RangeNotSatisfiable(f"max={text} is not a page size. Use a number from 1 to {LARGEST_PAGE}.")
    return min(int(text), LARGEST_PAGE)


def _bound(field: Field, text: str) -> Any:
    try:
        return field.read(text)
    except ValueError as error:
        raise RangeNotSatisfiable(f"{text!r} is not a value that this list can be ordered by.") from error


def page_of_rows(rows: QuerySet[Row], wanted: Range, fields: Mapping[str, Field]) -> Page:
    """Return one page of a queryset, read with one query."""
    field = fields[wanted.field]
    after, before = ("lt", "gt") if wanted.descending else ("gt", "lt")
    if wanted.start:
        after += "" if wanted.start_exclusive else "e"
        rows = rows.filter(**{f"{field.key}__{after}": _bound(field, wanted.start)})
    if wanted.end:
        rows = rows.filter(**{f"{field.key}__{before}e": _bound(field, wanted.end)})
    ordered = rows.order_by(f"-{field.key}" if wanted.descending else field.key)
    return _page(list(ordered[: wanted.max + 1]), wanted, field)


def page_of_items(items: Sequence[Item], wanted: Range, fields: Mapping[str, Field]) -> Page:
    """Return one page of a list that is in memory."""
    field = fields[wanted.field]

    def key(item: Item) -> Any:
        return getattr(item, field.key)

    ordered = sorted(items, key=key, reverse=wanted.descending)
    sign = -1 if wanted.descending else 1
    if wanted.start:
        start, least = _bound(field, wanted.start), 1 if wanted.start_exclusive else 0
        ordered = [item for item in ordered if sign * _compare(key(item), start) >= least]
    if wanted.end:
        end = _bound(field, wanted.end)
        ordered = [item for item in ordered if sign * _compare(key(item), end) <= 0]
    return _page(ordered[: wanted.max + 1], wanted, field)


def _compare(a: Any, b: Any) -> int:
    return int(a > b) - int(a < b)


def _page(found: list[Any], wanted: Range, field: Field) -> Page:
    items = found[: wanted.max]
    if not items:
        return Page([])
    first, last = (_text(getattr(item, field.key)) for item in (items[0], items[-1]))
    content = f"{wanted.field} {first}..{last}"
    if len(found) <= wanted.max:
        return Page(items, content)
    return Page(items, content, str(replace(wanted, start=last, start_exclusive=True)))


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def uuid_field(key: str = "id") -> Field:
    return Field(key, UUID)
