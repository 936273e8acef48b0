"""Files as a tar stream: there and back, and everything hostile refused on the way in."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from runtime import tarball
from runtime.cli.reaching import split_place
from runtime.forwarding import parse_ports
from runtime.tarball import Refused

pytestmark = pytest.mark.unit


def packed(path: Path) -> tuple[io.BytesIO, list[str]]:
    stream, notes = io.BytesIO(), []
    tarball.pack(str(path), stream, notes.append)
    stream.seek(0)
    return stream, notes


def stream_of(*members: tuple[dict[str, object], bytes]) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for fields, data in members:
            info = tarfile.TarInfo(str(fields["name"]))
            info.size, info.mode = len(data), 0o644
            for name, value in fields.items():
                setattr(info, name, value)
            tar.addfile(info, io.BytesIO(data))
    stream.seek(0)
    return stream


def test_a_folder_there_and_back(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "er" / "a b").write_bytes(b"x" * 200_000)
    (source / "run").write_text("#!/bin/sh")
    (source / "run").chmod(0o755)
    (source / "link").symlink_to("deep/er")
    (source / "out").symlink_to("/etc/passwd")
    (source / "up").symlink_to("../../x")
    target.mkdir()
    stream, notes = packed(source)
    tarball.unpack(stream, str(target))
    copy = target / "source"
    assert (copy / "deep" / "er" / "a b").read_bytes() == b"x" * 200_000
    assert (copy / "run").stat().st_mode & 0o777 == 0o755
    assert str((copy / "link").readlink()) == "deep/er"
    assert not (copy / "out").is_symlink()
    assert not (copy / "up").is_symlink()
    assert len(notes) == 2
    tarball.unpack(packed(source)[0], str(target))  # again, over what is there


def test_a_file_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("content")
    tarball.unpack(packed(tmp_path / "one")[0], str(tmp_path / "two"))
    assert (tmp_path / "two").read_text() == "content"
    with pytest.raises(Refused, match="no folder"):
        tarball.unpack(packed(tmp_path / "one")[0], str(tmp_path / "none" / "two"))


HOSTILE = [
    ({"name": "/etc/x"}, "leads out"),
    ({"name": "../x"}, "leads out"),
    ({"name": "a/../../x"}, "leads out"),
    ({"name": "x", "type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}, "device"),
    ({"name": "x", "type": tarfile.BLKTYPE}, "device"),
    ({"name": "x", "type": tarfile.FIFOTYPE}, "fifo"),
    ({"name": "x", "type": tarfile.LNKTYPE, "linkname": "outside"}, "hard link"),
    ({"name": "x", "type": tarfile.SYMTYPE, "linkname": "/etc"}, "leads to"),
    ({"name": "a/x", "type": tarfile.SYMTYPE, "linkname": "../../b"}, "leads to"),
    ({"name": "x", "mode": 0o4755}, "set-user-id"),
    ({"name": "x", "mode": 0o2755}, "set-group-id"),
    ({"name": "/".join("d" * 200)}, "no name"),
]


@pytest.mark.parametrize(("fields", "words"), HOSTILE)
def test_hostile_members_are_refused(tmp_path: Path, fields: dict[str, object], words: str) -> None:
    (tmp_path / "into").mkdir()
    with pytest.raises(Refused, match=words):
        tarball.unpack(stream_of((fields, b"")), str(tmp_path / "into"))
    assert {path.name for path in tmp_path.iterdir()} == {"into"}
    assert not (tmp_path / "into" / "x").exists()


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    into, outside = tmp_path / "into", tmp_path / "outside"
    into.mkdir()
    outside.mkdir()
    (into / "d").symlink_to(outside)
    (into / "f").symlink_to(outside / "f")
    with pytest.raises(Refused, match="is a link"):
        tarball.unpack(stream_of(({"name": "d/x"}, b"data")), str(into))
    tarball.unpack(stream_of(({"name": "f"}, b"data")), str(into))  # the link itself is replaced
    assert list(outside.iterdir()) == []
    assert (into / "f").read_bytes() == b"data"


def test_a_torn_stream_is_told(tmp_path: Path) -> None:
    whole = stream_of(({"name": "x"}, b"y" * 5000)).getvalue()
    for part in (whole[:1000], b"not a tar" * 100):
        with pytest.raises(Refused, match="no whole tar"):
            tarball.unpack(io.BytesIO(part), str(tmp_path))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("web:/app/x", ("web", "/app/x")),
        ("./a:b", ("", "./a:b")),
        ("file", ("", "file")),
        ("/a:/b", ("", "/a:/b")),
    ],
)
def test_where_a_path_is(text: str, place: tuple[str, str]) -> None:
    assert split_place(text) == place


def test_pairs_of_ports() -> None:
    assert parse_ports("8080:5000") == (8080, 5000)
    assert parse_ports("5000") == (5000, 5000)
    for text in ("x", "1:2:3", "0:5", "70000", ":5", "5:"):
        with pytest.raises(ValueError, match="no pair of ports"):
            parse_ports(text)
