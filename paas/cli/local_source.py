"""A folder of this machine as an archive for a build.

In: a folder.  Out: a .tar.gz without what git ignores and without `.git`; the commit it stands on, if that is known.
"""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from paas.cli.failures import Usage

GIT_SECONDS = 60
LEFT_OUT = frozenset({".git", ".hg", ".svn", ".DS_Store"})


def write_archive(folder: Path, target: Path) -> int:
    """Write the files of `folder` as they are now; returns how many. Raises Usage when there are none."""
    if not folder.is_dir():
        raise Usage(f"There is no folder {folder}.")
    names = sorted(_tracked(folder) or _walked(folder, ""))
    count = 0
    with tarfile.open(target, "w:gz", compresslevel=6) as archive:
        for name in names:
            file = folder / name
            if not (file.is_file() or file.is_symlink()):
                continue  # deleted, a submodule, or a socket
            archive.add(file, arcname=name, recursive=False, filter=_plain)
            count += 1
    if not count:
        raise Usage(f"There is nothing to build in {folder}.")
    return count


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without who owns it: that is nobody's business there."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def _tracked(folder: Path) -> list[str]:
    """Return what git knows and does not ignore below a folder, also what is not committed; [] outside a repository."""
    done = _git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return [name for name in done.split("\0") if name]


def _walked(folder: Path, prefix: str) -> Iterator[str]:
    for entry in sorted((folder / prefix).iterdir()):
        name = f"{prefix}{entry.name}"
        if entry.name in LEFT_OUT:
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _walked(folder, f"{name}/")
        else:
            yield name


def commit_of(folder: Path) -> str:
    """Return the commit that a folder stands on, '' when it has changes or no repository."""
    if _git(folder, "status", "--porcelain", "--", ".").strip():
        return ""
    return _git(folder, "rev-parse", "--verify", "-q", "HEAD").strip()


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ("git", *words),
            cwd=folder,
            capture_output=True,
            timeout=GIT_SECONDS,
            check=False,
            text=True,
            errors="surrogateescape",
        )
    except FileNotFoundError:
        return ""
    except subprocess.TimeoutExpired as error:
        raise Usage(
            f"`git {words[0]}` took longer than {GIT_SECONDS} seconds in {folder}. See what keeps it, or send "
            "an archive: git archive -o /tmp/app.tar HEAD && paas builds:create --source-tar /tmp/app.tar"
        ) from error
    return done.stdout if done.returncode == 0 else ""
