"""Layers into squashfs files: what is in them afterwards, read back by another program than the one that wrote them."""

from __future__ import annotations

import bz2
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from paas.oci.errors import ImageError
from paas.oci.flatten import Flattened, Wish, flatten
from paas.oci.layers import Layer
from paas.oci.tree import Limits
from tests.oci_images import File, Layout, busybox, directory

pytestmark = pytest.mark.integration


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


def layers(
    layout: Layout, *contents: list[File], compress: Callable[[bytes], bytes] | None = None
) -> list[Layer]:
    made = []
    for files in contents:
        descriptor, diff_id = layout.layer(files, compress)
        digest = descriptor["digest"]
        file = layout.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")
        made.append(Layer(file, digest, diff_id))
    return made


def listing(flat: Flattened) -> dict[str, tarfile.TarInfo]:
    """Return what the squashfs holds, as sqfs2tar reads it."""
    tar = flat.file.with_suffix(".tar")
    with tar.open("wb") as out:
        subprocess.run(["sqfs2tar", str(flat.file)], stdout=out, check=True)
    with tarfile.open(tar) as archive:
        return {member.name: member for member in archive}


def content(flat: Flattened, path: str) -> bytes:
    return subprocess.run(
        ["unsquashfs", "-cat", str(flat.file), path], check=True, capture_output=True
    ).stdout


def test_a_whole_image(layout: Layout, tmp_path: Path) -> None:
    upper = [
        File("srv/page", b"new", uid=101, gid=101),
        File("root/.wh.secret"),
        File("srv/again", type=tarfile.LNKTYPE, link="srv/page"),
        File("bin/su", b"x", 0o4755, xattr="cap"),
        File("dev/sda", type=tarfile.BLKTYPE),
        File("srv/näme with space", b"ok"),
    ]
    lower = [*busybox(), File("root/secret", b"s"), File("srv/page", b"old")]
    flat = flatten(layers(layout, lower, upper), tmp_path / "a.squashfs")
    found = listing(flat)
    assert "root/secret" not in found
    assert "dev/sda" not in found
    assert content(flat, "srv/page") == content(flat, "srv/again") == b"new"
    assert (found["srv/page"].uid, found["bin/su"].mode, found["bin/su"].pax_headers) == (101, 0o755, {})
    assert found["srv/again"].islnk() or found["srv/page"].islnk()
    assert found["bin/sh"].linkname == "busybox"
    assert "srv/näme with space" in found
    assert flat.shell
    assert "web:x:101" in flat.texts["passwd"]
    assert flat.dropped == {"devices and pipes": 1, "set-id bits": 1}


def test_the_same_image_gives_the_same_bytes(layout: Layout, tmp_path: Path) -> None:
    given = layers(layout, busybox(), [File("a", b"1" * 100_000)])
    first, second = (flatten(given, tmp_path / name) for name in ("a", "b"))
    assert first.digest == second.digest
    assert first.size == second.size


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q"], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize("compress", [bytes, zstd], ids=["plain", "zstd"])
def test_other_compressions(layout: Layout, tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    given = layers(layout, [File("a", b"1" * 5000)], compress=compress)
    assert content(flatten(given, tmp_path / "a"), "a") == b"1" * 5000


@pytest.mark.parametrize("compress", [None, bytes, zstd], ids=["gzip", "plain", "zstd"])
@pytest.mark.parametrize("at", [20, -30, -1])
def test_a_flipped_byte_is_refused(
    layout: Layout, tmp_path: Path, at: int, compress: Callable[[bytes], bytes] | None
) -> None:
    (layer,) = layers(layout, [File("a", bytes(range(256)) * 40), File("b", b"2")], compress=compress)
    data = bytearray(layer.file.read_bytes())
    data[at] ^= 1
    layer.file.write_bytes(data)
    with pytest.raises(ImageError) as refused:
        flatten([layer], tmp_path / "a")
    assert refused.value.id == "image_damaged"
    assert not (tmp_path / "a").exists()
    assert not layer.file.exists(), "it is fetched again, not found again"


def test_a_tar_that_is_not_what_the_image_says(layout: Layout, tmp_path: Path) -> None:
    (layer,) = layers(layout, [File("a", b"1")])
    with pytest.raises(ImageError) as refused:
        flatten([Layer(layer.file, layer.digest, "sha256:" + "0" * 64)], tmp_path / "a")
    assert refused.value.id == "image_damaged"


def test_what_is_no_layer(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is no tar archive"):
        flatten(layers(layout, [File("a", b"1")], compress=bz2.compress), tmp_path / "a")


@pytest.mark.parametrize("name", ["dev", "proc", "sys"])
def test_a_link_in_place_of_a_mount_point(layout: Layout, tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match=f"/{name} of the image is a symbolic link"):
        flatten(layers(layout, [File(name, link="/var/tmp")]), tmp_path / "a")


def test_a_bomb_is_refused_before_it_is_unpacked(layout: Layout, tmp_path: Path) -> None:
    given = layers(layout, [File("zeros", bytes(8 * 1024**2))])
    with pytest.raises(ImageError, match="more than 4 MiB of files"):
        flatten(given, tmp_path / "a", limits=Limits(bytes=4 * 1024**2))


def test_texts_are_changed_and_directories_made(layout: Layout, tmp_path: Path) -> None:
    wish = Wish(
        edits={
            "etc/passwd": lambda data: data + b"app:x:1000:1000::/app:\n",
            "etc/paas-stack": lambda _: b"mine\n",
        },
        directories=(("app", 0o755, 1000),),
    )
    flat = flatten(layers(layout, busybox()), tmp_path / "a", wish)
    assert content(flat, "etc/passwd").endswith(b"app:x:1000:1000::/app:\n")
    assert content(flat, "etc/paas-stack") == b"mine\n"
    assert listing(flat)["app"].uid == 1000


def test_only_what_upper_layers_add(layout: Layout, tmp_path: Path) -> None:
    given = layers(layout, busybox(), [directory("usr/include"), File("usr/include/x.h", b"h")])
    assert set(listing(flatten(given, tmp_path / "a", Wish(above=1)))) == {
        "usr",
        "usr/include",
        "usr/include/x.h",
    }
