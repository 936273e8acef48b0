"""Whose build is next: whoever has the least comes first, and nobody is forgotten."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.scheduler.build_queue import Waiting, choose_host, fair_order, free_places

pytestmark = pytest.mark.unit

waitings = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 50)), max_size=30).map(
    lambda pairs: [Waiting(n, owner, float(since)) for n, (owner, since) in enumerate(pairs)]
)
owners = st.lists(st.integers(0, 4), max_size=10)


def test_a_single_push_is_not_behind_twenty_of_another() -> None:
    crowd = [Waiting(f"a{n}", "ann", float(n)) for n in range(20)]
    order = fair_order([*crowd, Waiting("b", "bob", 100.0)], running=["ann", "ann"])
    assert order[:3] == ["b", "a0", "a1"]


def test_equals_take_turns_and_the_older_one_begins() -> None:
    builds = [Waiting("a1", "ann", 1.0), Waiting("a2", "ann", 2.0), Waiting("b1", "bob", 3.0)]
    assert fair_order(builds, running=[]) == ["a1", "b1", "a2"]


def test_of_one_owner_the_oldest_is_first() -> None:
    assert fair_order([Waiting("new", "ann", 2.0), Waiting("old", "ann", 1.0)], running=[]) == ["old", "new"]


@given(waitings, owners)
def test_nobody_is_forgotten_and_nobody_twice(waiting: list[Waiting[int]], running: list[int]) -> None:
    assert sorted(fair_order(waiting, running)) == sorted(one.id for one in waiting)


@given(waitings, owners)
def test_at_each_step_the_next_one_has_the_least(waiting: list[Waiting[int]], running: list[int]) -> None:
    by_id = {one.id: one for one in waiting}
    served, left = Counter(running), list(waiting)
    for id_ in fair_order(waiting, running):
        assert served[by_id[id_].owner] == min(served[one.owner] for one in left)
        served[by_id[id_].owner] += 1
        left.remove(by_id[id_])


@pytest.mark.parametrize(
    ("ready", "running", "unplaced", "places"),
    [
        (["h1"], {}, 0, 2),
        (["h1", "h2"], {"h1": 2}, 0, 2),
        (["h1", "h2"], {"h1": 2, "h2": 1}, 1, 0),
        (["h1"], {"h1": 3}, 0, 0),
        (["h1"], {"gone": 5}, 0, 2),
        ([], {}, 0, 2),
        ([], {}, 2, 0),
    ],
)
def test_places_are_counted_per_host(
    ready: list[str], running: dict[str, int], unplaced: int, places: int
) -> None:
    assert free_places(2, ready, running, unplaced) == places


def test_a_build_goes_where_the_fewest_are_then_where_the_memory_is() -> None:
    memory = {"small": 4, "large": 8, "busy": 64}
    assert choose_host(2, memory, {"busy": 1}) == "large"
    assert choose_host(2, memory, {"busy": 1, "large": 1, "small": 1}) == "busy"
    assert choose_host(1, memory, {"busy": 1, "large": 1, "small": 1}) is None
    assert choose_host(1, {}, {}) is None
