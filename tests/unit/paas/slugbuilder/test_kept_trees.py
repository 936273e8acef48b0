"""Trees of earlier builds come back as they were made, or not at all."""

import io
import os
from dataclasses import replace

import pytest

from paas.slugbuilder.kept_trees import MARK, bring_back, drop_stale_marks, keep, set_aside
from paas.slugbuilder.output import Output
from paas.slugbuilder.workspace import Stack, Workspace

pytestmark = pytest.mark.unit

NOTHING = ("nothing", lambda tree: None)
CHANGES = [
    ("added", lambda tree: (tree / "lib/more").write_text("")),
    ("removed", lambda tree: (tree / "lib/code").unlink()),
    ("removed at the top", lambda tree: (tree / "top").unlink()),
    ("written", lambda tree: (tree / "lib/code").write_text("2")),
    ("written, with its time set back", lambda tree: set_back(tree / "lib/code")),
    ("mode", lambda tree: (tree / "lib").chmod(0o700)),
    ("another in its place", lambda tree: (tree.rename(tree.with_name("old")), tree.mkdir())),
]


def set_back(file):
    before = file.stat()
    file.write_text("3")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def workspace(folder, number):
    """A build of its own with the cache of all."""
    place = folder / str(number)
    for name in ("app", "scratch"):
        (place / name).mkdir(parents=True)
    (folder / "cache").mkdir(exist_ok=True)
    return Workspace(
        place / "app", folder / "cache", place / "scratch", {}, Stack("host"), Output(io.StringIO())
    )


def made(work, key="k1"):
    tree = work.app / ".venv"
    (tree / "lib").mkdir(parents=True)
    (tree / "lib/code").write_text("1")
    (tree / "top").write_text("1")
    assert keep(work, "venv", key, tree)
    return tree


def later(work):
    """Wait until the disk's clock has gone on since the tree was whole."""
    stamp, since = work.scratch / "later", max(work.trees.values())
    while True:
        stamp.unlink(missing_ok=True)
        stamp.touch()
        if stamp.stat().st_ctime_ns > since:
            return


@pytest.mark.parametrize(
    ("what", "change"), [NOTHING, *CHANGES], ids=lambda one: one if isinstance(one, str) else ""
)
@pytest.mark.parametrize("again", ["made", "from the tar", "offered"])
def test_the_mark_goes_with_any_change(tmp_path, what, change, again):
    work = workspace(tmp_path, 1)
    tree = made(work)
    if again != "made":
        offered = set_aside(work.app, tmp_path / "offered") if again == "offered" else None
        work = replace(workspace(tmp_path, 2), offered=offered)
        tree = work.app / ".venv"
        assert bring_back(work, "venv", "k1", tree)
        assert (tree / "lib/code").read_text() == "1"
        assert not (tmp_path / "offered/.venv").exists()
    later(work)
    change(tree)
    drop_stale_marks(work)
    assert (tree / MARK).exists() == (what == "nothing")


def test_what_is_offered_is_only_taken_for_its_key(tmp_path):
    work = workspace(tmp_path, 1)
    made(work)
    offered = set_aside(work.app, tmp_path / "offered")
    assert list(work.app.iterdir()) == []
    second = replace(workspace(tmp_path, 2), offered=offered, cache=None)
    for name, key in (("venv", "k2"), ("node_modules", "k1")):
        assert not bring_back(second, name, key, second.app / ".venv")
    assert list(second.app.iterdir()) == []
    assert bring_back(second, "venv", "k1", second.app / ".venv")


def test_a_tree_without_its_mark_comes_from_the_tar_and_has_it_again(tmp_path):
    work = workspace(tmp_path, 1)
    (made(work) / MARK).unlink()
    offered = set_aside(work.app, tmp_path / "offered")
    (offered / ".venv/lib/code").write_text("a hook's")
    second = replace(workspace(tmp_path, 2), offered=offered)
    tree = second.app / ".venv"
    assert bring_back(second, "venv", "k1", tree)
    assert ((tree / "lib/code").read_text(), (tree / MARK).read_text()) == ("1", "venv k1\n")


def test_nothing_offered_is_nothing_set_aside(tmp_path):
    assert set_aside(tmp_path, tmp_path / "offered") is None
