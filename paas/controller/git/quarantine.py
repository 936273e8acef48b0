"""Where a push waits for its verdict.

In: a repository whose lock is held.  Out: a folder on the same file system for the incoming pack and the source tar;
its pack is adopted by the repository or vanishes with everything else in the folder.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FOLDER = "quarantine"


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The folder of one push."""

    folder: Path
    repo: Path

    @property
    def packs(self) -> Path:
        """Where the incoming pack lies."""
        return self.folder / "pack"

    def adopt(self, pack: Path) -> list[Path]:
        """Move the pack into the repository, its index last; returns the files that are new there."""
        target = self.repo / "objects" / "pack"
        moved = []
        for file in (pack, pack.with_suffix(".idx")):
            if not (target / file.name).exists():
                file.chmod(0o444)
                moved.append(file.rename(target / file.name))
        sync_folder(target)
        return moved


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def open_quarantine(repo: Path) -> Iterator[Quarantine]:
    """Make a quarantine and remove it at the end; first what killed processes left (the lock says they are dead)."""
    parent = repo / FOLDER
    shutil.rmtree(parent, ignore_errors=True)
    parent.mkdir(mode=0o700)
    quarantine = Quarantine(Path(tempfile.mkdtemp(dir=parent)), repo)
    quarantine.packs.mkdir()
    try:
        yield quarantine
    finally:
        shutil.rmtree(parent, ignore_errors=True)
