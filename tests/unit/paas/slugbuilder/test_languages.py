"""Which languages a build needs of its stack, and what their layers are bound to."""

import io
import tarfile

import pytest

from paas.controller.services.languages import bound_to
from paas.slugbuilder.buildpacks import BUILDPACKS
from paas.slugbuilder.language_definitions import LANGUAGES
from paas.slugbuilder.language_detection import needed_languages

pytestmark = pytest.mark.unit


GROUP = '[_]\nschema-version = "0.2"\n[[io.buildpacks.group]]\nid = "a/b"\nversion = "1.0"\n'


def tar_of(tmp_path, files):
    path = tmp_path / "source.tar"
    with tarfile.open(path, "w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


@pytest.mark.parametrize(
    ("files", "chosen", "needed"),
    [
        ({"go.mod": "module x"}, (), ("go",)),
        ({"./go.mod": "module x"}, (), ("go",)),
        ({"sub/go.mod": "module x", "Procfile": "web: x"}, (), ()),
        ({"go.mod": "module x", "requirements.txt": "flask"}, (), ()),
        ({"go.mod": "module x"}, ("heroku/python",), ()),
        ({"requirements.txt": ""}, ("heroku/python", "https://a.example/b.git", "heroku/go"), ("go",)),
        ({"requirements.txt": "", ".buildpacks": "heroku/go\n./mine\n"}, (), ("go",)),
        ({"go.mod": "x" * 400_000}, (), ("go",)),
        ({"go.mod": "module x", "project.toml": GROUP}, (), ()),
        ({"go.mod": "module x", "project.toml": GROUP}, ("heroku/go",), ("go",)),
        ({"go.mod": "module x", "project.toml": "["}, (), ("go",)),
        ({"../go.mod": "module x", "/go.mod": "module x"}, (), ()),
    ],
)
def test_needed(tmp_path, files, chosen, needed):
    assert needed_languages(tar_of(tmp_path, files), chosen) == needed


def test_the_folder_of_a_monorepo_counts(tmp_path):
    tar = tar_of(
        tmp_path, {"go.mod": "module x", "api/app.rb": "", "site/requirements.txt": "", "shop/go.mod": ""}
    )
    assert needed_languages(tar, (), "shop") == ("go",)
    assert needed_languages(tar, (), "site") == ()


def test_what_is_no_archive_needs_nothing(tmp_path):
    path = tmp_path / "source.tar"
    path.write_bytes(b"no tar")
    assert needed_languages(path, ()) == ()


def test_every_language_has_a_buildpack_of_its_name():
    assert set(LANGUAGES) <= {buildpack.name for buildpack in BUILDPACKS}


@pytest.mark.parametrize(
    ("version", "parts", "bound"),
    [("go1.24.4", 0, ""), ("ruby 3.3.8 (2025)", 2, "3.3"), ("openjdk 21.0.1", 1, "21"), ("", 2, "")],
)
def test_bound_to(version, parts, bound):
    assert bound_to(version, parts) == bound
