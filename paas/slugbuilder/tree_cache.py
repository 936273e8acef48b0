"""Ready-made dependency trees, kept between builds.

In: a folder and a key of everything it was made from.  Out: the same folder again, byte for byte.
One tar per name: half the time of copying the tree, and a rename makes it whole or absent.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

FOLDERS = (
    *("trees", "uv", "npm", "yarn", "pnpm", "node", "tmp", "pyc", "cnb"),
    *("go", "bundle", "composer", "maven", "gradle"),
)
KEPT = "lost+found"  # the file system's own


def key_of(parts: Iterable[bytes | str]) -> str:
    """A hash over parts; where one ends and the next begins matters."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def restore(cache: Path | None, name: str, key: str, tree: Path) -> bool:
    """Put the kept tree in place. False (and nothing left behind) when there is none for this key or it is broken."""
    file = archive(cache, name, key) if cache else None
    if file is None or not file.is_file():
        return False
    done = subprocess.run(["tar", "-xf", str(file), "-C", str(tree.parent)], capture_output=True, check=False)
    if done.returncode == 0 and tree.is_dir():
        return True
    shutil.rmtree(tree, ignore_errors=True)
    file.unlink(missing_ok=True)
    return False


def save(cache: Path | None, name: str, key: str, tree: Path) -> bool:
    """Keep the tree under this key, in place of older ones. A full cache is no error: the next build starts cold."""
    if cache is None:
        return False
    file = archive(cache, name, key)
    file.parent.mkdir(parents=True, exist_ok=True)
    for old in file.parent.iterdir():
        old.unlink()
    half = file.with_suffix(".half")
    argv = ["tar", "-cf", str(half), "-C", str(tree.parent), tree.name]
    if subprocess.run(argv, capture_output=True, check=False).returncode != 0:
        half.unlink(missing_ok=True)
        return False
    os.replace(half, file)  # noqa: PTH105  # the one call whose atomicity matters
    return True


def archive(cache: Path, name: str, key: str) -> Path:
    return cache / "trees" / name / f"{key[:32]}.tar"


def make_room(cache: Path, share: float = 0.15) -> bool:
    """Empty a cache whose disk is nearly full (less than `share` free): our folders, and all the rest if that is not
    enough, because what an app's own steps left there would fail every build to come. True when something was dropped.
    """
    others = [entry for entry in cache.iterdir() if entry.name not in (*FOLDERS, KEPT)]
    dropped = False
    for entries in ([cache / name for name in FOLDERS if (cache / name).is_dir()], others):
        usage = shutil.disk_usage(cache)
        if usage.free >= usage.total * share:
            break
        for entry in entries:
            dropped = True
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
    return dropped
