"""Copies and backups of sparse files: equal, sparse, and refused when anything is wrong with them."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.volumes import copying, ext4, stream
from runtime.volumes.errors import VolumeInvalid

MIB = 1024**2
LENGTH = 48 * MIB


def sparse(file: Path, pieces: dict[int, bytes], length: int = LENGTH) -> Path:
    with file.open("wb") as out:
        out.truncate(length)
        for offset, data in pieces.items():
            out.seek(offset)
            out.write(data)
    return file


def refreshed(source: Path, target: Path) -> bytes:
    with source.open("rb") as reading, target.open("r+b") as writing:
        copying.refresh(reading.fileno(), writing.fileno(), source.stat().st_size, lambda: None)
    return target.read_bytes()


def test_a_copy_takes_what_differs_and_gives_holes_back(tmp_path: Path) -> None:
    source = sparse(tmp_path / "a", {5000: b"head", 40 * MIB: b"x" * 3 * MIB})
    target = sparse(tmp_path / "b", {5000: b"old!", 10 * MIB: b"y" * 2 * MIB}, LENGTH + 4096)
    assert refreshed(source, target) == source.read_bytes()
    assert target.stat().st_blocks <= source.stat().st_blocks
    os.truncate(source, 0)
    os.truncate(source, LENGTH)
    assert refreshed(source, target) == bytes(LENGTH) and target.stat().st_blocks == 0


def backup(file: Path) -> bytes:
    heading = stream.Heading(format=1, name="data", size_bytes=LENGTH, length=file.stat().st_size)
    return b"".join(stream.write(file, heading))


def read(data: bytes, target: Path, step: int) -> stream.Heading:
    reader = stream.Reader(target)
    try:
        for at in range(0, len(data), step):
            reader.feed(data[at : at + step])
        return reader.finish()
    finally:
        reader.close()


@pytest.mark.parametrize("step", [17, 4096, 10**9])
def test_a_backup_is_read_back_sparse_and_by_gzip(tmp_path: Path, step: int) -> None:
    file = sparse(tmp_path / "disk", {0: b"\1" * 5000, 20 * MIB + 7: os.urandom(9000), LENGTH - 1: b"!"})
    data = backup(file)
    heading = read(data, tmp_path / "copy", step)
    assert (heading.name, heading.size_bytes) == ("data", LENGTH)
    assert (tmp_path / "copy").read_bytes() == file.read_bytes()
    assert (tmp_path / "copy").stat().st_blocks * 512 < MIB
    plain, rest = b"", data
    while rest:
        unpacker = zlib.decompressobj(31)
        plain += unpacker.decompress(rest)
        rest = unpacker.unused_data
    assert plain == file.read_bytes()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_changed_or_cut_backup_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("b")
    whole = backup(sparse(folder / "disk", {4096: b"some data", 2 * MIB: bytes(range(256))}, 3 * MIB))
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = data.draw(
        st.sampled_from([whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], whole + b"?"])
    )
    with pytest.raises(VolumeInvalid):
        read(changed, folder / "copy", 1000)


@given(st.integers(MIB, 2**44))
def test_a_file_is_larger_than_what_it_holds_but_not_by_half(size: int) -> None:
    length = ext4.file_size(size)
    assert length % 4096 == 0
    assert size + ext4.journal_mib(size) * MIB + 4 * MIB <= length <= size * 1.07 + 73 * MIB
