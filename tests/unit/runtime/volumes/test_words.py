"""What is said of volumes, and which mounts a container cannot have."""

from __future__ import annotations

import argparse

import pytest

from runtime.agent.volume_watch import full_words, level_of
from runtime.cli.volumes import parse_size
from runtime.container.attaching import check_mounts
from runtime.container.port import EngineError
from runtime.model import VolumeMount, VolumeStatus
from runtime.volumes.store import show

MIB = 1024**2


def volume(used: int, size: int = 100 * MIB) -> VolumeStatus:
    return VolumeStatus(
        id="v1", owner="a", name="data", size_bytes=size, used_bytes=used, disk_bytes=used, created_at=0
    )


@pytest.mark.parametrize(("used", "level"), [(84, 0), (85, 1), (95, 2), (98, 2), (100, 3)])
def test_marks_of_fullness(used: int, level: int) -> None:
    assert level_of(volume(used * MIB)) == level


def test_a_full_volume_in_words() -> None:
    assert full_words(volume(100 * MIB)).startswith(
        "Volume data is full: writes to it fail with ENOSPC (100 MiB of"
    )
    assert "is nearly full (90 MiB of 100 MiB); delete" in full_words(volume(90 * MIB))


@pytest.mark.parametrize(
    ("text", "size"), [("1GiB", 2**30), ("512m", 2**29), ("10 MB", 10 * MIB), ("77", 77)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "1.5G", "ten", "1PiB"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        parse_size(text)


def test_sizes_are_shown_with_their_unit() -> None:
    assert [show(2**40), show(3 * 2**29), show(5000), show(12)] == [
        "1 TiB",
        "1.5 GiB",
        "4.883 KiB",
        "12 bytes",
    ]


@pytest.mark.parametrize(
    ("mounts", "words"),
    [
        ([("a", "/")], "needs a directory below /"),
        ([("a", "data")], "needs a directory below /"),
        ([("a", "/x/../etc")], "needs a directory below /"),
        ([("a", "/proc/x")], "belongs to the system"),
        ([("a", "/d"), ("b", "/d/")], "Two volumes or files are to be mounted at /d"),
        ([("a", "/cache")], "Two volumes or files"),
        ([("a", "/d"), ("a", "/e")], "mounted twice"),
        ([("a/b", "/d")], "volume name 'a/b' must be"),
    ],
)
def test_mounts_that_cannot_be(mounts: list[tuple[str, str]], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        check_mounts([VolumeMount(name=name, target=target) for name, target in mounts], ["/cache"])


def test_mounts_within_mounts_can_be() -> None:
    check_mounts([VolumeMount(name="b", target="/d/e"), VolumeMount(name="a", target="/d")], [])
