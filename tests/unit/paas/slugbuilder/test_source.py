"""Hostile and odd source archives."""

import io
import tarfile

import pytest

from paas.slugbuilder.errors import BuildError
from paas.slugbuilder.source import SourceLimits, leaves_tree, unpack_source

pytestmark = pytest.mark.unit


def archive(tmp_path, *members):
    """members: (name, kind, data or link target, mode)."""
    path = tmp_path / "source.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, value, *mode in members:
            info = tarfile.TarInfo(name)
            info.type, info.mtime, info.mode = kind, 1_700_000_000, mode[0] if mode else 0o644
            data = value.encode() if kind == tarfile.REGTYPE else b""
            info.size = len(data)
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = value
            tar.addfile(info, io.BytesIO(data))
    return path


def file(name, data="x", mode=0o644):
    return (name, tarfile.REGTYPE, data, mode)


def link(name, target):
    return (name, tarfile.SYMTYPE, target)


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "app"
    folder.mkdir()
    return folder


def test_files_modes_links_and_the_newest_time(tmp_path, target):
    tar = archive(
        tmp_path,
        file("a.txt", "hello"),
        file("bin/run", "x", 0o755),
        link("now", "bin/run"),
        link("d/up", "../a.txt"),
    )
    unpacked = unpack_source(tar, target)
    assert (unpacked.entries, unpacked.size, unpacked.newest) == (4, 6, 1_700_000_000)
    assert (target / "d/up").read_text() == "hello"
    assert (target / "bin/run").stat().st_mode & 0o777 == 0o755
    assert (target / "a.txt").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "member",
    [
        file("/etc/passwd"),
        file("../up"),
        file("a/../../up"),
        file("a//b"),
        file(".git/config"),
        file("sub/.GIT/config"),
        file(".paas/launch"),
        file("n" * 300),
        link("out", "/etc/passwd"),
        link("out", "../secret"),
        link("a/out", "../../secret"),
        link("a/out", "b/../../../secret"),
        ("hard", tarfile.LNKTYPE, "a"),
        ("fifo", tarfile.FIFOTYPE, ""),
        ("device", tarfile.CHRTYPE, ""),
    ],
)
def test_refuses(tmp_path, target, member):
    with pytest.raises(BuildError) as caught:
        unpack_source(archive(tmp_path, file("a", "x"), member), target)
    assert caught.value.id == "source_refused"
    assert not (tmp_path / "up").exists()


def test_nothing_is_written_through_a_link(tmp_path, target):
    outside = tmp_path / "outside"
    outside.mkdir()
    with pytest.raises(BuildError):
        unpack_source(archive(tmp_path, link("x", "."), file("x/y")), target)
    assert not list(outside.iterdir())


def test_a_name_twice_is_refused(tmp_path, target):
    with pytest.raises(BuildError, match="appears twice"):
        unpack_source(archive(tmp_path, file("a"), file("a")), target)


def test_limits(tmp_path, target):
    tar = archive(tmp_path, file("a", "x" * 100), file("b", "x" * 100))
    with pytest.raises(BuildError, match="holds more than 1 files") as caught:
        unpack_source(tar, target, SourceLimits(entries=1))
    assert caught.value.id == "source_too_large"
    with pytest.raises(BuildError, match="is larger than"):
        unpack_source(tar, target / "..", SourceLimits(total_bytes=150))


def test_a_broken_archive(tmp_path, target):
    broken = tmp_path / "broken.tar"
    broken.write_bytes(b"no tar" * 200)
    with pytest.raises(BuildError, match="cannot be read"):
        unpack_source(broken, target)


@pytest.mark.parametrize(
    ("path", "to", "leaves"),
    [
        ("a", "b", False),
        ("a/b", "../c", False),
        ("a", "..", True),
        ("a", ".", False),
        ("a", "", True),
        ("d/a", "../../x", True),
    ],
)
def test_leaves_tree(path, to, leaves):
    assert leaves_tree(path, to) is leaves
