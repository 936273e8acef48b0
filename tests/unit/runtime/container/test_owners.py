"""Ranges of host uids: one per owner, never shared, never moved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.container.owners import FIRST, LAST, WIDTH, allocate
from runtime.container.port import EngineError

pytestmark = pytest.mark.unit


@given(st.lists(st.text(max_size=5), max_size=40))
def test_ranges_are_stable_and_do_not_overlap(owners: list[str]) -> None:
    taken: dict[str, int] = {}
    for owner in owners:
        before = taken.get(owner)
        taken[owner] = allocate(taken, owner)
        assert before in (None, taken[owner])
    starts = sorted(taken.values())
    assert starts == list(range(FIRST, FIRST + len(starts) * WIDTH, WIDTH))


def test_the_lowest_free_range_is_reused() -> None:
    assert allocate({"b": FIRST + WIDTH}, "a") == FIRST


def test_when_all_are_taken_it_says_so() -> None:
    taken = {str(start): start for start in range(FIRST, LAST - WIDTH, WIDTH)}
    assert max(taken.values()) + WIDTH - 1 <= LAST
    with pytest.raises(EngineError, match="All user ranges"):
        allocate(taken, "one more")
