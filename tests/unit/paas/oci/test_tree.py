"""The tree that layers make together, with layers that nobody should trust."""

from __future__ import annotations

import tarfile
from typing import Any

import pytest

from paas.oci.errors import ImageError
from paas.oci.tree import Limits, Tree

DIR, LINK, HARD, NULL, FIFO = (
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.CHRTYPE,
    tarfile.FIFOTYPE,
)


def entry(name: str, type_: bytes = tarfile.REGTYPE, **values: Any) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = type_
    for attribute, value in values.items():
        setattr(member, attribute, value)
    return member


def tree(*layers: list[tarfile.TarInfo], limits: Limits | None = None) -> Tree:
    made = Tree(limits or Limits())
    for layer in layers:
        made.apply(layer)
    made.check()
    return made


def paths(made: Tree) -> list[str]:
    return [path for path, _ in made.walk()]


def test_upper_layers_cover_lower_ones() -> None:
    made = tree(
        [entry("a", size=1), entry("d", DIR), entry("d/x")], [entry("./a", size=2), entry("d", size=3)]
    )
    assert [(path, node.kind, node.size) for path, node in made.walk()] == [("a", "f", 2), ("d", "f", 3)]
    assert made.nodes["a"].source == (1, 0)


def test_whiteouts_hide_lower_layers_only() -> None:
    lower = [entry("d", DIR), entry("d/x"), entry("d/y"), entry("gone", DIR), entry("gone/deep")]
    upper = [entry("d/new"), entry("d/.wh..wh..opq"), entry(".wh.gone"), entry("gone"), entry(".wh.never")]
    assert paths(tree(lower, upper)) == ["d", "d/new", "gone"]


def test_marks_of_aufs_are_left_out() -> None:
    assert paths(tree([entry("a")], [entry(".wh..wh.aufs"), entry(".wh..wh.plnk", DIR)])) == ["a"]


def test_hard_links_share_what_they_name() -> None:
    made = tree([entry("a", size=5), entry("b", HARD, linkname="./a")], [entry(".wh.a")])
    assert paths(made) == ["b"]
    assert (made.nodes["b"].size, made.nodes["b"].source) == (5, (0, 0))


@pytest.mark.parametrize("target", ["missing", "d", "../../etc/shadow"])
def test_hard_links_lead_to_files_of_the_image(target: str) -> None:
    with pytest.raises(ImageError):
        tree([entry("d", DIR), entry("b", HARD, linkname=target)])


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/a/../b", "x\0y", "n" * 256, "/".join(["d" * 200] * 30)]
)
def test_paths_that_leave_the_tree_are_refused(name: str) -> None:
    with pytest.raises(ImageError):
        tree([entry(name)])


def test_a_leading_slash_means_the_root_of_the_image() -> None:
    assert paths(tree([entry("/etc/passwd")])) == ["etc", "etc/passwd"]


def test_links_in_parent_paths_are_followed_inside_the_tree() -> None:
    lower = [
        entry("usr/lib", DIR),
        entry("lib", LINK, linkname="usr/lib"),
        entry("up", LINK, linkname="../../.."),
    ]
    made = tree(lower, [entry("lib/x"), entry("up/etc/passwd")])
    assert "usr/lib/x" in made.nodes
    assert "etc/passwd" in made.nodes
    assert made.nodes["lib"].kind == "l"


def test_links_that_go_in_circles_are_refused() -> None:
    with pytest.raises(ImageError, match="circles"):
        tree([entry("a", LINK, linkname="b"), entry("b", LINK, linkname="a"), entry("a/x")])


@pytest.mark.parametrize("name", ["dev", "proc", "sys", "etc"])
@pytest.mark.parametrize("type_", [LINK, tarfile.REGTYPE])
def test_what_the_platform_mounts_on_must_be_a_directory(name: str, type_: bytes) -> None:
    with pytest.raises(ImageError, match="must be a directory") as refused:
        tree([entry(name, type_, linkname="/var/lib")])
    assert refused.value.id == "image_unsafe"


def test_a_link_that_a_later_layer_replaces_is_no_harm() -> None:
    assert tree([entry("dev", LINK, linkname="/x")], [entry("dev", DIR)]).nodes["dev"].kind == "d"


def test_devices_pipes_and_set_id_bits_are_left_out() -> None:
    made = tree(
        [entry("null", NULL), entry("p", FIFO), entry("su", mode=0o6755), entry("t", DIR, mode=0o1777)]
    )
    assert paths(made) == ["su", "t"]
    assert (made.nodes["su"].mode, made.nodes["t"].mode) == (0o755, 0o1777)
    assert made.dropped == {"devices and pipes": 2, "set-id bits": 1}


def test_owners_out_of_range_become_nobody() -> None:
    made = tree([entry("a", uid=100_000, gid=5)])
    assert (made.nodes["a"].uid, made.nodes["a"].gid) == (65534, 5)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(layers=1), "more than 1 layers"),
        (Limits(entries=1), "more than 1 files"),
        (Limits(bytes=1024**2), "more than 1 MiB"),
    ],
)
def test_limits(limits: Limits, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        tree([entry("a", size=2 * 1024**2)], [entry("b")], limits=limits)


def test_directories_are_made_where_they_are_missing() -> None:
    made = tree([entry("srv", DIR, uid=7, mode=0o700), entry("w", LINK, linkname="srv")])
    made.ensure_directory("/", 0o755, 1000)
    made.ensure_directory("/w", 0o755, 1000)
    made.ensure_directory("/app/data", 0o750, 1000)
    assert (made.nodes["srv"].uid, made.nodes["srv"].mode) == (7, 0o700)
    assert (made.nodes["app/data"].uid, made.nodes["app/data"].mode, made.nodes["app"].uid) == (
        1000,
        0o750,
        0,
    )


def test_only_what_upper_layers_have() -> None:
    made = tree([entry("d", DIR), entry("d/low"), entry("low")], [entry("d/new"), entry("top")])
    assert paths(made.only_layers_from(1)) == ["d", "d/new", "top"]


def test_resolving() -> None:
    made = tree(
        [
            entry("usr/bin/dash"),
            entry("bin", LINK, linkname="usr/bin"),
            entry("usr/bin/sh", LINK, linkname="dash"),
        ]
    )
    assert made.resolve("/bin/sh") == "usr/bin/dash"
    assert made.lookup("bin/bash") is None
