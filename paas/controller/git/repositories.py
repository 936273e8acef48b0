"""Bare repositories on disk. In: a path.  Out: dulwich's `Repo`, made on first use; its size; its packs' folder."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from dulwich.refs import HEADREF, Ref
from dulwich.repo import Repo


def open_repository(path: Path) -> Repo:
    """Open the bare repository at `path`, or make it. Close it after use."""
    if not (path / "objects" / "pack").is_dir():
        _create(path)
    return Repo(str(path))


def _create(path: Path) -> None:
    """Make it aside and move it into place, so that nobody ever opens half a repository."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=path.parent))
    try:
        Repo.init_bare(str(fresh), default_branch=b"main").close()
        (fresh / "objects" / "pack").mkdir(exist_ok=True)
        fresh.rename(path)
    except OSError:
        if not (path / "objects" / "pack").is_dir():
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def pack_folder(repo: Path) -> Path:
    """Return where the repository's packs lie."""
    return repo / "objects" / "pack"


def stored_bytes(repo: Path) -> int:
    """Return what the repository's packs take on disk."""
    return sum(file.stat().st_size for file in pack_folder(repo).iterdir())


def branch_ref(branch: str) -> Ref:
    """Return the full name of a branch's ref."""
    return Ref(b"refs/heads/" + branch.encode())


def point_head(repo: Repo, ref: Ref) -> None:
    """Let a clone check out the branch that was deployed last."""
    if repo.refs.get_symrefs().get(HEADREF) != ref:
        repo.refs.set_symbolic_ref(HEADREF, ref)
