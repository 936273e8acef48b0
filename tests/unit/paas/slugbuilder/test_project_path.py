"""One folder of a repository as the app."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from paas.slugbuilder.errors import BuildError
from paas.slugbuilder.source import unpack_source

pytestmark = pytest.mark.unit


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "source.tar"
    with tarfile.open(file, "w") as archive:
        for name in ("README", "apps/api/Procfile", "apps/api/lib/a", "apps/web/index.html", "apps/apiary/x"):
            info = tarfile.TarInfo(name)
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
    return file


def names(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())


def test_only_the_folder(source: Path, tmp_path: Path) -> None:
    for below in ("apps/api", "/apps/api/"):
        target = tmp_path / below.strip("/").replace("/", "-") / str(len(below))
        target.mkdir(parents=True)
        unpack_source(source, target, below=below)
        assert names(target) == ["Procfile", "lib/a"]


@pytest.mark.parametrize(
    ("below", "details"),
    [
        ("apps/ap", "Folders in apps: api, apiary, web"),
        ("backend", "Folders in the root of the source: apps"),
        ("apps/api/src/x", "Folders in apps/api: lib"),
        ("../x", "Folders in the root of the source: apps"),
    ],
)
def test_a_missing_folder_is_told_with_what_is_there(
    source: Path, tmp_path: Path, below: str, details: str
) -> None:
    with pytest.raises(BuildError, match="There is no folder") as raised:
        unpack_source(source, tmp_path, below=below)
    assert raised.value.id == "project_path_missing"
    assert raised.value.details == (details,)


def test_a_file_is_no_folder(source: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="README is a file"):
        unpack_source(source, tmp_path, below="README")
