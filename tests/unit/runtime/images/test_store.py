"""Images by digest: what is a digest, what is stored, what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from runtime.container.port import EngineError
from runtime.images import hoststack, squashfs
from runtime.images.store import Images, hex_of
from runtime.model import ImageRef

pytestmark = pytest.mark.unit


def reference(content: bytes) -> ImageRef:
    return ImageRef(digest=f"sha256:{hashlib.sha256(content).hexdigest()}", size=len(content))


def test_a_checked_file_is_taken_over(tmp_path: Path) -> None:
    images = Images(tmp_path / "images", tmp_path / "mounts")
    file, ref = tmp_path / "download", reference(b"content")
    file.write_bytes(b"content")
    assert images.missing((ref,)) == (ref,)
    images.add(ref, file)
    assert images.missing((ref,)) == ()
    assert images.list() == (ref,)
    assert images.path(ref).read_bytes() == b"content"
    assert not file.exists()


def test_a_wrong_digest_is_refused_and_dropped(tmp_path: Path) -> None:
    images = Images(tmp_path / "images", tmp_path / "mounts")
    file, ref = tmp_path / "download", reference(b"content")
    file.write_bytes(b"other")
    with pytest.raises(EngineError, match="damaged"):
        images.add(ref, file)
    assert images.missing((ref,)) == (ref,)
    assert not file.exists()


def test_keeping_leaves_the_file(tmp_path: Path) -> None:
    images = Images(tmp_path / "images", tmp_path / "mounts")
    file = tmp_path / "made"
    file.write_bytes(b"content")
    assert images.keep(file) == images.keep(file) == reference(b"content")
    assert file.read_bytes() == b"content"


@pytest.mark.parametrize(
    "digest", ["", "sha256:", "sha256:" + "g" * 64, "sha256:" + "a" * 63, "a" * 64, "sha256:../x"]
)
def test_malformed_digests(digest: str) -> None:
    with pytest.raises(EngineError, match="not an image digest"):
        hex_of(ImageRef(digest=digest))


def test_packing_forgets_owner_time_and_attributes() -> None:
    words = " ".join(squashfs.arguments(Path("/s"), Path("/t")))
    for option in (
        "-force-uid 1000",
        "-force-gid 1000",
        "-all-time 0",
        "-mkfs-time 0",
        "-no-xattrs",
        "-comp zstd",
    ):
        assert option in words


def test_the_host_stack_is_made_once_and_shows_no_secret(tmp_path: Path) -> None:
    made = hoststack.make(tmp_path)
    assert hoststack.make(tmp_path) == made
    assert [entry.name for entry in tmp_path.iterdir()] == [made.name]
    for name in ("shadow", "ssl/private", "ssh", "sudoers"):
        assert not (made / "etc" / name).exists()
    assert "app:x:1000:1000" in (made / "etc/passwd").read_text()
    assert list((made / "root").iterdir()) == list((made / "home").iterdir()) == []
    (tmp_path / "older").mkdir()
    hoststack.remove_others(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [made.name]
