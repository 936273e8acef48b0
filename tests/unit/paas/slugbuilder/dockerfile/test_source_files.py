"""Single files are read out of tars of every kind."""

import io
import tarfile
from pathlib import Path

import pytest

from paas.slugbuilder.dockerfile.source_files import read_files

LONG = "d" * 90 + "/" + "e" * 90
FILES = {
    "Dockerfile": b"FROM scratch\n",
    "a/Dockerfile": b"x" * 700,
    LONG: b"y",
    "heroku.yml": b"",
    "z": b"z" * 5000,
}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("dotted", ["", "./"])
def test_files_are_found(tmp_path: Path, mode: str, form: int, dotted: str) -> None:
    tar = tmp_path / "tar"
    with tarfile.open(
        tar, mode, format=form, pax_headers={"comment": "c"} if form == tarfile.PAX_FORMAT else None
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


def test_what_is_no_tar_is_told(tmp_path: Path) -> None:
    tar = tmp_path / "tar"
    tar.write_bytes(b"no tar at all" * 100)
    with pytest.raises(ValueError, match="cannot be read"):
        read_files(tar, ("Dockerfile",))
