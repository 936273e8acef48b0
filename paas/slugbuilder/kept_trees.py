"""Dependency trees of earlier builds, by the key of what they were made from: shown by the host, or as a tar.

In: a tree and its key.  Out: the same tree, byte for byte. A mark in it says its key; it goes where a tree was changed
after it had been made (by a hook, by pruning): such a tree is not the one that the key stands for.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from . import tree_cache
from .workspace import Workspace

MARK = ".paas-tree"


def set_aside(app: Path, place: Path) -> Path | None:
    """Move what the host shows of the last build out of the way of the source; return where it is, None for nothing."""
    for entry in list(app.iterdir()):
        try:
            place.mkdir(exist_ok=True)
            entry.rename(place / entry.name)
        except OSError:  # a kernel that moves no folder of an image, or another disk
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    return place if place.is_dir() else None


def bring_back(work: Workspace, name: str, key: str, tree: Path) -> bool:
    """Put the tree of this key in place; False (and nothing left behind) when there is none."""
    if not _taken(work.offered, name, key, tree):
        if not tree_cache.restore(work.cache, name, key, tree):
            return False
        _mark(tree, name, key)
    _note(work, tree)
    return True


def keep(work: Workspace, name: str, key: str, tree: Path) -> bool:
    """Mark a tree that was just made, and keep it. False when it did not fit: the next build starts cold."""
    _mark(tree, name, key)
    kept = tree_cache.save(work.cache, name, key, tree)
    _note(work, tree)
    return kept


def drop_stale_marks(work: Workspace) -> None:
    """Take the mark from every tree that was changed since."""
    for tree, since in work.trees.items():
        if _is_changed(tree, since):
            with contextlib.suppress(OSError):
                (tree / MARK).unlink()


def _taken(offered: Path | None, name: str, key: str, tree: Path) -> bool:
    if offered is None:
        return False
    with contextlib.suppress(OSError, ValueError):
        if (offered / tree.name / MARK).read_text() == _words(name, key):
            (offered / tree.name).rename(tree)
            return True
    return False


def _mark(tree: Path, name: str, key: str) -> None:
    if not (tree / MARK).is_file() or (tree / MARK).read_text() != _words(name, key):
        (tree / MARK).unlink(missing_ok=True)
        (tree / MARK).write_text(_words(name, key))


def _words(name: str, key: str) -> str:
    return f"{name} {key}\n"


def _note(work: Workspace, tree: Path) -> None:
    """Note when the tree was whole, by the clock of the disk: nobody sets the time of an entry's last change."""
    stamp = work.scratch / "stamp"
    stamp.unlink(missing_ok=True)
    stamp.touch()
    work.trees[tree] = stamp.stat().st_ctime_ns


def _is_changed(tree: Path, since: int) -> bool:
    if not tree.is_dir() or tree.is_symlink() or tree.lstat().st_ctime_ns > since:
        return True
    return any(
        os.lstat(os.path.join(folder, name)).st_ctime_ns > since  # noqa: PTH118  # tens of thousands of them
        for folder, names, entries in os.walk(tree)
        for name in (*names, *entries)
    )
