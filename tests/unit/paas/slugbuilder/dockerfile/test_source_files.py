"""Single files are read out of tars of every kind."""

import io
import tarfile
from pathlib import Path

import pytest

from paas.slugbuilder.dockerfile.source_files import TooLarge, read_files

LONG = "d" * 90 + "/" + "e" * 90
FILES = {
    "Dockerfile": b"FROM scratch\n",
    "a/Dockerfile": b"x" * 700,
    LONG: b"y",
    "heroku.yml": b"",
    "z": b"z" * 5000,
}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("dotted", ["", "./"])
def test_files_are_found(tmp_path: Path, form: int, dotted: str) -> None:
    tar = tmp_path / "tar"
    with tarfile.open(
        tar, "w", format=form, pax_headers={"comment": "c"} if form == tarfile.PAX_FORMAT else None
    ) as out:  # type: ignore[call-overload]
        link = tarfile.TarInfo(f"{dotted}Procfile")
        link.type, link.linkname = tarfile.SYMTYPE, "z"
        out.addfile(link)
        for name, data in FILES.items():
            member = tarfile.TarInfo(dotted + name)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    names = ("Dockerfile", "a/Dockerfile", "heroku.yml", "Procfile", "absent")
    assert read_files(tar, names) == {name: FILES[name] for name in names[:3]}
    with pytest.raises(ValueError, match="z has 5000 bytes"):
        read_files(tar, ("z",), most=4000)


def test_a_tar_without_a_magic_number_is_read(tmp_path: Path) -> None:
    header = bytearray(tarfile.TarInfo("Dockerfile").tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = b"00000000005\0"
    header[257:265] = bytes(8)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    tar = tmp_path / "tar"
    tar.write_bytes(bytes(header) + b"FROM\n".ljust(512, b"\0") + bytes(1024))
    assert read_files(tar, ("Dockerfile",)) == {"Dockerfile": b"FROM\n"}
    with pytest.raises(TooLarge, match="Dockerfile has 5 bytes"):
        read_files(tar, ("Dockerfile",), most=4)


@pytest.mark.parametrize("magic", [b"ustar\x0000", bytes(8)])
def test_a_file_as_large_as_it_claims_is_not_read(tmp_path: Path, magic: bytes) -> None:
    header = bytearray(tarfile.TarInfo("Dockerfile").tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = b"77777777777\0"
    header[257:265] = magic
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    tar = tmp_path / "tar"
    with tar.open("wb") as file:
        file.write(header)
        file.truncate(9 * 1024**3)
    with pytest.raises(TooLarge) as found:
        read_files(tar, ("Dockerfile",))
    assert found.value.name == "Dockerfile"


def test_what_is_no_tar_is_told(tmp_path: Path) -> None:
    tar = tmp_path / "tar"
    tar.write_bytes(b"no tar at all" * 100)
    with pytest.raises(ValueError, match="cannot be read"):
        read_files(tar, ("Dockerfile",))
