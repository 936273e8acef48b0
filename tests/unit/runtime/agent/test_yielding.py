"""Who weighs less on busy processors, whom nobody minds, and for how long it goes on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.agent.yielding import BUSY, KEPT_LOOKS, Use, decide, less, level, over, parse_times

USES = st.lists(
    st.builds(Use, st.uuids().map(str), st.floats(0, 8), st.sampled_from([2, 512, 1024, 4096])), max_size=8
)


def uses(**cores: float) -> list[Use]:
    return [Use(name, used, 1024) for name, used in cores.items()]


@pytest.mark.parametrize(
    ("busy", "expected"),
    [
        ({"hog": 1.8, "light": 0.1}, {"hog"}),
        ({"hog": 0.9, "another": 0.9, "light": 0.1}, {"hog", "another"}),
        ({"hog": 1.1, **{f"light{number}": 0.08 for number in range(10)}}, {"hog"}),
        ({"hog": 1.8, "light": 0.1, **{f"asleep{number}": 0.0 for number in range(50)}}, {"hog"}),
        ({"a": 0.8, "b": 0.7, "c": 0.5}, set()),
        ({"a": 0.6, "b": 0.6, "c": 0.6}, set()),
        ({"alone": 2.0}, set()),
        ({}, set()),
    ],
)
def test_the_greatest_users_yield_where_it_helps_somebody(busy: dict[str, float], expected: set[str]) -> None:
    assert over(uses(**busy)) == expected


def test_twice_the_weight_may_use_twice_as_much() -> None:
    assert over([Use("large", 1.2, 2048), Use("small", 0.6, 1024), Use("asleep", 0.0, 1024)]) == {
        "large",
        "small",
    }
    assert over([Use("large", 1.2, 4096), Use("small", 0.6, 1024), Use("asleep", 0.0, 1024)]) == {"small"}


@given(USES)
def test_never_all_and_never_one_who_used_less_than_another_who_does_not(those: list[Use]) -> None:
    found = over(those)
    yielding = [one for one in those if one.id in found]
    others = [one for one in those if one.id not in found]
    assert not those or others
    assert all(one.cores / one.shares >= two.cores / two.shares for one in yielding for two in others)
    assert level(those) >= 0


def test_it_goes_on_for_a_while_after_the_last_time() -> None:
    busy, calm = uses(hog=1.8, light=0.1), uses(hog=0.1, light=0.1)
    yielding = decide({}, busy, 0.0)
    assert yielding == {"hog": KEPT_LOOKS}
    for _ in range(KEPT_LOOKS - 1):
        yielding = decide(yielding, calm, 0.0)
        assert yielding.keys() == {"hog"}
    assert decide(yielding, calm, 0.0) == {}


def test_nobody_yields_while_processors_are_idle() -> None:
    assert decide({}, uses(hog=1.0, light=0.1), BUSY) == {}


def test_weights() -> None:
    assert [less(shares) for shares in (2, 512, 1024)] == [2, 32, 64]


def test_the_time_that_a_hypervisor_took_is_not_idle() -> None:
    assert parse_times("cpu  10 1 5 100 7 0 2 50 3 0\ncpu0 1 1") == (107, 175)
