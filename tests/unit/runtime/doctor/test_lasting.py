"""A leftover is what every look sees, however long a look takes."""

from __future__ import annotations

from runtime.doctor.doctor import LEAST_LOOKS, Key, lasting
from runtime.doctor.place import Leftover


def leftovers(*names: str) -> dict[Key, Leftover]:
    return {("file", name): Leftover("file", name, "belongs to nothing") for name in names}


def test_one_look_is_not_enough_even_when_it_took_all_the_time() -> None:
    looks = [leftovers("on its way", "left"), leftovers("left"), leftovers("left"), leftovers("left")]
    seen = iter(looks)
    found = lasting(lambda: next(seen), settle=0.0, pause=0.0)
    assert [name for _, name in found] == ["left"]
    assert len(looks) == LEAST_LOOKS + 1


def test_a_clean_host_is_told_clean_at_once() -> None:
    seen = iter([leftovers()])
    assert lasting(lambda: next(seen), settle=60.0) == {}


def test_what_comes_back_is_not_what_was_there() -> None:
    seen = iter([leftovers("x"), leftovers(), leftovers("x")])
    assert lasting(lambda: next(seen), settle=0.0, pause=0.0) == {}
