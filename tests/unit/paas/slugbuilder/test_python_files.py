"""What Python's many dependency files become."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from paas.slugbuilder.buildpacks.pipfile import read_lock, read_pipfile
from paas.slugbuilder.buildpacks.poetry_lock import content_hash, read_poetry_lock
from paas.slugbuilder.buildpacks.python_managers import choose_manager, pyproject_of
from paas.slugbuilder.errors import BuildError
from tests.apps.expectation import FOLDER

pytestmark = pytest.mark.unit
PROJECT = '[project]\nname = "x"\nversion = "1"\n'


def tree(folder, **files):
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "chosen", "aside"),
    [
        ({"requirements__txt": ""}, "requirements.txt", ""),
        ({"requirements__txt": "", "pyproject__toml": PROJECT}, "requirements.txt", ""),
        ({"Pipfile": "", "Pipfile__lock": "{}"}, "Pipfile.lock", ""),
        ({"Pipfile": "", "requirements__txt": ""}, "requirements.txt", "Pipfile is not"),
        ({"Pipfile__lock": "{}", "requirements__txt": ""}, "Pipfile.lock", "requirements.txt is not"),
        (
            {"requirements__txt": "", "poetry__lock": "", "uv__lock": "", "pyproject__toml": PROJECT},
            "requirements.txt",
            "poetry.lock and uv.lock are not",
        ),
        ({"uv__lock": "", "pyproject__toml": PROJECT}, "uv.lock", ""),
        ({"poetry__lock": "", "pyproject__toml": "[tool.poetry]\n"}, "poetry.lock", ""),
        ({"setup__py": ""}, "setup.py", ""),
    ],
)
def test_precedence_and_what_is_told(tmp_path, files, chosen, aside):
    manager, warning = choose_manager(tree(tmp_path, **files))
    assert manager.file == chosen
    assert aside in warning
    assert bool(warning) == bool(aside)


def test_a_lock_alone(tmp_path):
    with pytest.raises(BuildError, match=r"uv.lock is there without pyproject.toml"):
        choose_manager(tree(tmp_path, uv__lock=""))


def lock(**default):
    sources = [{"url": "https://pypi.org/simple"}, {"url": "https://u:${TOKEN}@inner.test/simple"}]
    return json.dumps({"_meta": {"sources": sources}, "default": default, "develop": {"pytest": {}}})


def test_pipfile_lock(tmp_path):
    text = lock(
        flask={"version": "==3.1.2", "hashes": ["sha256:aa"], "markers": "python_version >= '3.9'"},
        psycopg={"version": "==3.2", "extras": ["binary"]},
    )
    found = read_lock(tree(tmp_path, Pipfile__lock=text), {"TOKEN": "t0ken"})
    assert found.fixed
    assert found.lines == (
        "--extra-index-url https://u:t0ken@inner.test/simple",
        "flask==3.1.2 ; python_version >= '3.9' --hash=sha256:aa",
        "psycopg[binary]==3.2",
    )


def test_a_config_var_replaces_the_first_index(tmp_path):
    text = json.dumps({"_meta": {"sources": [{"url": "https://mirror.test/simple"}]}, "default": {}})
    app = tree(tmp_path, Pipfile__lock=text)
    assert read_lock(app, {}).lines == ("--index-url https://mirror.test/simple",)
    assert read_lock(app, {"PIP_INDEX_URL": "https://proxy.test/simple"}).lines == ()


def test_what_moves_is_no_key(tmp_path):
    text = lock(a={"git": "https://forge.test/a", "ref": "abc"}, b={"path": "libs/b", "editable": True})
    found = read_lock(tree(tmp_path, Pipfile__lock=text), {})
    assert not found.fixed
    assert found.lines[1:] == ("a @ git+https://forge.test/a@abc", "-e ./libs/b")


def test_a_lock_that_lacks_a_package(tmp_path):
    app = tree(tmp_path, Pipfile='[packages]\nFlask = "*"\nhttpx = "*"\n', Pipfile__lock=lock(flask={}))
    with pytest.raises(BuildError, match="httpx is not in it"):
        read_lock(app, {})


def test_pipfile_alone(tmp_path):
    text = '[packages]\nflask = "*"\nredis = ">=5"\nx = {version = "==1", extras = ["a", "b"]}\n'
    assert read_pipfile(tree(tmp_path, Pipfile=text), {}).lines == ("flask", "redis>=5", "x[a,b]==1")


@pytest.fixture
def poetry(tmp_path):
    for name in ("pyproject.toml", "poetry.lock"):
        shutil.copy(FOLDER / "python-poetry" / name, tmp_path)
    return tmp_path


def names(found):
    return [line.partition("==")[0] for line in found.lines]


def test_a_lock_of_poetry_2_and_one_of_poetry_1_give_the_same(poetry):
    found, fits = read_poetry_lock(poetry, {})
    assert fits
    assert found.fixed
    assert "flask" in names(found)
    assert "pytest" not in names(found)
    file = poetry / "poetry.lock"
    file.write_text(re.sub(r"^groups = .*\n", "", file.read_text(), flags=re.MULTILINE))
    older, _ = read_poetry_lock(poetry, {})
    assert names(older) == names(found)


def test_a_changed_declaration_is_told_and_a_missing_package_refused(poetry):
    file = poetry / "pyproject.toml"
    file.write_text(file.read_text().replace('flask = "3.1.2"', 'flask = "3.1.1"'))
    assert not read_poetry_lock(poetry, {})[1]
    file.write_text(
        file.read_text().replace("[tool.poetry.dependencies]\n", '[tool.poetry.dependencies]\nhttpx = "*"\n')
    )
    with pytest.raises(BuildError, match="httpx is not in it"):
        read_poetry_lock(poetry, {})


def test_the_hash_is_poetrys_own(poetry):
    known = re.search(r'content-hash = "(\w+)"', (poetry / "poetry.lock").read_text())
    assert known is not None
    assert content_hash(pyproject_of(poetry)) == known[1]


OLD_LOCK = """
[[package]]
name = "web"
version = "1"
optional = false
files = []
[package.dependencies]
windows-thing = {version = "*", markers = "sys_platform == \\"win32\\""}
fast = {version = "*", optional = true, markers = "extra == \\"speed\\""}
[package.extras]
speed = ["fast (>=1)"]

[[package]]
name = "fast"
version = "2"
optional = true
files = []

[[package]]
name = "windows-thing"
version = "3"
files = []

[[package]]
name = "test-tool"
version = "4"
files = []
"""


def test_markers_and_extras_of_an_old_lock(tmp_path):
    declared = '[tool.poetry.dependencies]\npython = "^3.11"\nweb = {version = "1", extras = ["speed"]}\n'
    found, _ = read_poetry_lock(tree(tmp_path, pyproject__toml=declared, poetry__lock=OLD_LOCK), {})
    assert found.lines == ("web==1", "fast==2", 'windows-thing==3 ; ((sys_platform == "win32"))')


def test_sources_of_a_poetry_lock(tmp_path):
    text = (
        '[[package]]\nname = "a"\nversion = "1"\ngroups = ["main"]\nfiles = []\n'
        '[package.source]\ntype = "legacy"\nurl = "https://inner.test/simple"\nreference = "in-house"\n'
        '[[package]]\nname = "b"\nversion = "1"\ngroups = ["main"]\nfiles = []\n'
        '[package.source]\ntype = "git"\nurl = "https://forge.test/b"\nreference = "main"\nresolved_reference = "abc"\n'
    )
    env = {"POETRY_HTTP_BASIC_IN_HOUSE_USERNAME": "u", "POETRY_HTTP_BASIC_IN_HOUSE_PASSWORD": "p"}
    found, _ = read_poetry_lock(tree(tmp_path, pyproject__toml="", poetry__lock=text), env)
    assert not found.fixed
    assert found.lines == (
        "--extra-index-url https://u:p@inner.test/simple",
        "a==1",
        "b @ git+https://forge.test/b@abc",
    )
