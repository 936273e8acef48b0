"""Reading Range headers and cutting lists."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.controller.api.ranges import Field, Range, page_of_items, parse
from paas.errors import RangeNotSatisfiable

pytestmark = pytest.mark.unit
FIELDS = ["id", "version"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", Range("id")),
        ("id ..; max=1000;", Range("id", max=1000)),
        ("version ..; max=15, order=desc", Range("version", descending=True, max=15)),
        ("version ..; order=desc,max=1", Range("version", descending=True, max=1)),
        ("version ]4..; max=2", Range("version", "4", True, max=2)),
        ("version 2..7", Range("version", "2", end="7")),
        ("seq 1..2; order=desc,max=5000", Range("id", descending=True, max=1000)),
        ("domain ..; ;", Range("id")),
        ("..", Range("id")),
    ],
)
def test_the_forms_that_clients_send(header: str, expected: Range) -> None:
    assert parse(header, FIELDS, "id") == expected


@pytest.mark.parametrize("header", ["x", "id ..; max=0", "id ..; max=-1", "id ..; max=1e9", "id a b..c"])
def test_nonsense_is_refused(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse(header, FIELDS, "id")


@given(st.text())
def test_any_text_gives_a_range_or_a_refusal(header: str) -> None:
    try:
        found = parse(header, FIELDS, "id")
    except RangeNotSatisfiable:
        return
    assert found.field in FIELDS and 1 <= found.max <= 1000


@dataclass(frozen=True)
class Row:
    version: int


@given(st.sets(st.integers(0, 999)), st.integers(1, 50), st.booleans())
def test_following_next_ranges_visits_every_row_once_in_order(
    versions: set[int], size: int, descending: bool
) -> None:
    rows = [Row(version) for version in versions]
    fields = {"version": Field("version", int)}
    seen: list[int] = []
    wanted = Range("version", descending=descending, max=size)
    while True:
        page = page_of_items(rows, wanted, fields)
        seen += [row.version for row in page.items]
        if not page.next:
            break
        wanted = parse(page.next, ["version"], "version")
    assert seen == sorted(versions, reverse=descending)
