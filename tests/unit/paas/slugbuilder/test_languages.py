"""Which languages a build needs of its stack, and what their layers are bound to."""

import io
import tarfile
import tracemalloc

import pytest

from paas.controller.services.languages import bound_to
from paas.slugbuilder import language_detection
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


def headers(*members: tuple[bytes, int, bytes]) -> bytes:
    """Headers alone: a kind, the size that it claims, and what follows in whole blocks."""
    found = b""
    for kind, size, after in members:
        info = tarfile.TarInfo("go.mod")
        info.type, info.size = kind, size
        found += info.tobuf(tarfile.GNU_FORMAT) + after.ljust(-(-len(after) // 512) * 512, b"\0")
    return found


@pytest.mark.parametrize(
    "data",
    [
        headers((tarfile.XHDTYPE, 8 * 1024**3, b"")),
        headers((tarfile.GNUTYPE_LONGNAME, 8 * 1024**3, b"")),
        headers((tarfile.XGLTYPE, 512 * 1024, b"9 a=bcde\n")),
        headers(*[(tarfile.XHDTYPE, 9, b"9 a=bcde\n")] * 5000),
        headers((tarfile.REGTYPE, -1024, b"")) + headers((tarfile.REGTYPE, 0, b"")),
    ],
    ids=["attributes", "long name", "global attributes", "a chain of headers", "negative size"],
)
@pytest.mark.timeout(20)
def test_a_tar_of_bombs_is_not_read_on(tmp_path, data):
    path = tmp_path / "source.tar"
    with path.open("wb") as file:
        file.write(data)
        file.truncate(9 * 1024**3)  # all of what it claims is there, as zeros
    tracemalloc.start()
    try:
        assert needed_languages(path, ()) == ()
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024**2
    finally:
        tracemalloc.stop()


def test_of_many_files_in_a_root_names_are_seen_and_little_content(tmp_path, monkeypatch):
    monkeypatch.setattr(language_detection, "MOST_CONTENT", 10)
    files = {"project.toml": GROUP, "go.mod": "module x"}
    assert needed_languages(tar_of(tmp_path, files), ()) == ("go",), (
        "project.toml is seen without its content"
    )


def test_every_language_has_a_buildpack_of_its_name():
    assert set(LANGUAGES) <= {buildpack.name for buildpack in BUILDPACKS}


@pytest.mark.parametrize(
    ("version", "parts", "bound"),
    [("go1.24.4", 0, ""), ("ruby 3.3.8 (2025)", 2, "3.3"), ("openjdk 21.0.1", 1, "21"), ("", 2, "")],
)
def test_bound_to(version, parts, bound):
    assert bound_to(version, parts) == bound
