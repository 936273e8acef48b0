"""What a source asks for is read from small files of it; one that is too large is told as what it is."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from paas.controller.models import App, Build, User
from paas.controller.services import builds
from paas.controller.services.image_builds import plan_of
from paas.errors import InvalidParams

pytestmark = pytest.mark.integration


def queued(user: User, app: App, folder: Path, files: dict[str, bytes]) -> Build:
    tar = folder / "source.tar"
    with tarfile.open(tar, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return builds.create_build(user, app, source_file=tar, origin="api")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("heroku.yml", "heroku_yml_invalid"),
        ("Procfile", "procfile_invalid"),
        ("project.toml", "cnb_invalid"),
        (".buildpacks", "buildpack_invalid"),
        ("Dockerfile", "dockerfile_failed"),
    ],
)
def test_a_large_file_has_the_error_of_its_kind(
    app: App, user: User, tmp_path: Path, name: str, error: str
) -> None:
    build = queued(user, app, tmp_path, {"Dockerfile": b"FROM scratch\n", name: b"# x\n" * 100_000})
    with pytest.raises(
        InvalidParams, match=f"The file {name} has 400000 bytes; at most 262144 are read. Make it"
    ) as found:
        plan_of(build)
    assert found.value.id == error
