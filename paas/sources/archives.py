"""Making an archive as people have it into the plain tar that builds take.

In: a tar (plain, gzip, bzip2, xz, zstd) or a zip.  Out: a tar of regular files, folders and symbolic links, paths
checked, without the one folder around everything that GitHub and others put there; SourceError otherwise.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from paas.sources.errors import SourceError
from paas.sources.tar_headers import BoundedTar
from paas.sources.unpacking import ENTRY_LIMIT, plain_file, too_large

UNPACKED_LIMIT = 1024**3  # bytes of file content; no more is built
LFS = b"version https://git-lfs.github.com/spec/v1\n"
LFS_MOST = 1024  # a pointer is smaller
SMALL = 64 * 1024  # read whole, to be looked at


@dataclass(frozen=True)
class Archive:
    """What came of it: `commit` that `git archive` noted, '' for none; `submodules` that are empty folders."""

    commit: str = ""
    submodules: tuple[str, ...] = ()


def normalize(upload: Path, tar: Path) -> Archive:
    """Write the checked content of `upload` to `tar`, which must not exist."""
    try:
        with plain_file(upload, tar.parent, UNPACKED_LIMIT) as plain:
            return _copied(plain, tar)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, OSError) as error:
        tar.unlink(missing_ok=True)
        raise SourceError(
            f"The source is not a readable tar or zip archive ({error}).", id="source_invalid"
        ) from error
    except SourceError:
        tar.unlink(missing_ok=True)
        raise


def _copied(plain: Path, tar: Path) -> Archive:
    top = _single_folder(plain)
    files: set[str] = set()
    modules = b""
    with (
        BoundedTar.open(plain, "r:*") as source,
        tarfile.open(tar, "x:", format=tarfile.PAX_FORMAT) as target,
    ):
        for member in checked(source):
            name = _below(top, member)
            if name is None:
                continue
            start = _copy(source, target, member, name)
            target.members = []  # type: ignore[attr-defined]  # it would keep them all
            if not member.isdir():
                files.update(str(parent) for parent in PurePosixPath(name).parents)
            if start.startswith(LFS) and member.size < LFS_MOST:
                raise _lfs(name)
            if name == ".gitmodules":
                modules = start
        commit = source.pax_headers.get("comment", "")
    missing = (path for path in submodule_paths(modules) if path not in files)
    return Archive(commit if len(commit) == 40 else "", tuple(missing))


def _below(top: str | None, member: tarfile.TarInfo) -> str | None:
    """The member's name without the folder around everything; None for that folder itself."""
    name = PurePosixPath(member.name)
    if top is None:
        return str(name)
    return None if name == PurePosixPath(top) else str(name.relative_to(top))


def _lfs(name: str) -> SourceError:
    return SourceError(
        f"{name} is a Git LFS pointer, not the file itself: archives of a repository with LFS have only pointers. "
        "Commit the file as it is (git lfs migrate export), or fetch it during the build.",
        id="source_invalid",
    )


def submodule_paths(modules: bytes) -> Iterator[str]:
    """Yield the paths that a .gitmodules names."""
    for line in modules.decode("utf-8", "replace").splitlines():
        key, found, value = line.partition("=")
        if found and key.strip() == "path":
            yield value.strip().strip('"').rstrip("/")


def _copy(source: tarfile.TarFile, target: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> bytes:
    """Copy one member under a new name; returns what is in a small file."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mtime = member.type, member.linkname, int(member.mtime)
    entry.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    if not member.isreg():
        target.addfile(entry)
        return b""
    entry.size = member.size
    content = source.extractfile(member)
    if content is None or member.size > SMALL:
        target.addfile(entry, content)
        return b""
    data = content.read()
    target.addfile(entry, io.BytesIO(data))
    return data


def checked(source: BoundedTar) -> Iterator[tarfile.TarInfo]:
    """Yield the entries, refusing paths that leave the folder and kinds of file that source code has no use for."""
    size = 0
    for count, member in enumerate(source.each(), start=1):
        size += member.size
        if size > UNPACKED_LIMIT or count > ENTRY_LIMIT:
            raise too_large(UNPACKED_LIMIT)
        path = PurePosixPath(member.name)
        if member.name in ("", ".", "./") or path.parts[:1] == ("__MACOSX",):
            continue
        if path.is_absolute() or ".." in path.parts or ".git" in (part.lower() for part in path.parts):
            raise SourceError(
                f"The source holds the path {member.name!r}, which is not allowed.", id="source_invalid"
            )
        if not (member.isreg() or member.isdir() or member.issym()):
            raise SourceError(
                f"{member.name!r} in the source is not a file, folder or symbolic link.", id="source_invalid"
            )
        member.name = str(path)
        yield member


def _single_folder(plain: Path) -> str | None:
    """Return the one folder that holds every entry, or None."""
    tops: set[str] = set()
    folder = False
    with contextlib.closing(BoundedTar.open(plain, "r:*")) as source:
        for member in checked(source):
            parts = PurePosixPath(member.name).parts
            folder = folder or member.isdir() or len(parts) > 1
            tops.add(parts[0])
            if len(tops) > 1 or (len(parts) == 1 and not member.isdir()):
                return None
    return tops.pop() if folder and tops else None
