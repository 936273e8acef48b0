"""What may go, in which order, and what may never."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.agent.garbage import (
    Keep,
    Newest,
    Uses,
    free_floor,
    newer,
    only_existing,
    plan_caches,
    plan_images,
    plan_owners,
)
from runtime.container.port import StoredImage, StoredVolume

pytestmark = pytest.mark.unit

NOW = 1_800_000_000.0
HOUR, DAY = 3600.0, 86400.0


def image(name: str, size: int, hours: float, **fields: bool) -> StoredImage:
    return StoredImage(digest=name, size=size, used_at=NOW - hours * HOUR, **fields)


def names(removals: object) -> list[str]:
    return [one.name for one in removals]


def test_images_unused_for_long_go_and_pinned_used_and_newest_stay() -> None:
    images = [
        image("old", 1, 25),
        image("fresh", 1, 23),
        image("pinned", 1, 999),
        image("mounted", 1, 999, in_use=True),
        image("newest", 1, 99),
    ]
    uses = Uses(newest={"app": Newest(at=NOW - 99 * HOUR, digests=("newest",))})
    removals = plan_images(images, uses, {"pinned"}, Keep(), NOW)
    assert names(removals) == ["old"]
    assert removals[0].reason == "not used for 25 hours"


def test_the_newest_images_of_an_owner_long_gone_go_too() -> None:
    uses = Uses(newest={"app": Newest(at=NOW - 31 * DAY, digests=("a",))})
    assert names(plan_images([image("a", 1, 31 * 24)], uses, (), Keep(), NOW)) == ["a"]


def test_a_later_noted_use_counts() -> None:
    uses = Uses(images={"a": NOW - HOUR})
    assert plan_images([image("a", 1, 99)], uses, (), Keep(), NOW) == ()


def test_over_the_limit_the_least_recently_used_goes_first_and_the_newest_last() -> None:
    images = [image("newest", 40, 9), image("b", 40, 2), image("c", 40, 5), image("used", 40, 9, in_use=True)]
    uses = Uses(newest={"app": Newest(at=NOW, digests=("newest",))})
    for limit, gone in (
        (160, []),
        (159, ["c"]),
        (80, ["c", "b"]),
        (79, ["c", "b", "newest"]),
        (0, ["c", "b", "newest"]),
    ):
        assert names(plan_images(images, uses, (), Keep(image_bytes=limit), NOW)) == gone, limit


def test_a_full_disk_takes_no_more_than_needed() -> None:
    images = [image("a", 40, 3), image("b", 40, 2), image("c", 40, 1)]
    assert names(plan_images(images, Uses(), (), Keep(), NOW, need=41)) == ["a", "b"]
    assert "nearly full" in plan_images(images, Uses(), (), Keep(), NOW, need=1)[0].reason


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99), st.integers(0, 99), st.booleans()), max_size=9),
    st.sets(st.integers(0, 9)),
    st.integers(0, 300),
    st.integers(0, 300),
)
def test_whatever_is_asked_used_and_pinned_images_stay(
    rows: list[tuple[int, int, int, bool]], pinned: set[int], limit: int, need: int
) -> None:
    images = {str(n): image(str(n), size, hours, in_use=used) for n, size, hours, used in rows}
    pins = {str(n) for n in pinned}
    removals = names(plan_images(images.values(), Uses(), pins, Keep(image_bytes=limit), NOW, need))
    assert len(removals) == len(set(removals))
    assert not set(removals) & pins
    assert not [name for name in removals if images[name].in_use]
    left = [one for name, one in images.items() if name not in removals]
    assert plan_images(left, Uses(), pins, Keep(image_bytes=limit), NOW) == ()


def volume(owner: str, size: int, days: float, **fields: bool) -> StoredVolume:
    return StoredVolume(owner=owner, name="c", disk_bytes=size, used_at=NOW - days * DAY, **fields)


def test_caches_go_by_age_and_size_and_data_volumes_never() -> None:
    volumes = [
        volume("old", 1, 31),
        volume("data", 1, 999),
        volume("busy", 1, 99, in_use=True),
        volume("pinned", 1, 99),
        volume("big", 50, 2),
        volume("new", 50, 1),
    ]
    uses = Uses(caches={f"{one.owner}/c": 0 for one in volumes if one.owner != "data"})
    pins = {"pinned/c"}
    assert names(plan_caches(volumes, uses, pins, Keep(), NOW)) == ["old/c"]
    assert names(plan_caches(volumes, uses, pins, Keep(cache_bytes=60), NOW)) == ["old/c", "big/c"]
    assert names(plan_caches(volumes, uses, pins, Keep(), NOW, need=2)) == ["old/c", "big/c"]
    assert names(plan_caches(volumes, uses, pins, Keep(), NOW, need=99)) == ["old/c", "big/c", "new/c"]


def test_owners_long_gone_give_their_range_back() -> None:
    uses = Uses(owners={"gone": NOW - 31 * DAY, "here": NOW - 29 * DAY, "wanted": NOW - 99 * DAY})
    assert names(plan_owners(("gone", "here", "wanted", "unknown"), uses, {"wanted"}, Keep(), NOW)) == [
        "gone"
    ]


def test_what_is_noted_does_not_outlive_its_object() -> None:
    uses = Uses(
        images={"a": 1, "b": 2},
        newest={"x": Newest(at=1, digests=("a", "z")), "y": Newest(at=1, digests=("b",))},
        caches={"x/c": 1, "y/c": 1},
        owners={"x": 1, "y": 1},
    )
    left = only_existing(uses, {"a"}, {"x/c"}, {"x"})
    assert msgspec.to_builtins(left) == {
        "images": {"a": 1},
        "newest": {"x": {"at": 1, "digests": ("a", "z")}},
        "caches": {"x/c": 1},
        "owners": {"x": 1},
    }


def test_the_later_use_of_an_owner_wins() -> None:
    old, new = Newest(at=1, digests=("a",)), Newest(at=2, digests=("b",))
    assert newer({"x": old}, {"x": new}) == {"x": new} == newer({"x": new}, {"x": old})


@pytest.mark.parametrize(
    ("setting", "disk", "floor"),
    [(None, 10**12, 2 * 1024**3), (None, 10**10, 5 * 10**8), (0.5, 100, 50), (7, 100, 7)],
)
def test_how_much_must_stay_free(setting: int | float | None, disk: int, floor: int) -> None:
    assert free_floor(Keep(disk_free_min=setting), disk) == floor
