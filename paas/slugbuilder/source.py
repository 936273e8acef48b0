"""The commit's tar, unpacked without trusting it.

In: a tar stream (ustar or pax).  Out: files, folders and links below one folder, or a BuildError naming the path.
Nothing is ever written through a link, outside the folder, or beyond the limits.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import BuildError
from .project_path import Part

RESERVED = ".paas"


@dataclass(frozen=True)
class SourceLimits:
    """What a source tree may hold at most."""

    total_bytes: int = 1024**3
    entries: int = 200_000
    name_bytes: int = 255
    path_bytes: int = 2048


@dataclass(frozen=True)
class Unpacked:
    """What came out of the tar. `newest` is the latest modification time in it (Unix seconds): the commit's time."""

    entries: int
    size: int
    newest: int


def unpack_source(
    tar: Path, target: Path, limits: SourceLimits = SourceLimits(), below: str = ""
) -> Unpacked:
    """Unpack `tar`, or only the folder `below` of it, into `target`, which must exist."""
    entries = size = newest = 0
    links: list[tuple[str, str]] = []
    part = Part(below)
    try:
        with tarfile.open(tar, "r:*") as archive:
            for member in members(archive):
                entries, size, newest = entries + 1, size + member.size, max(newest, int(member.mtime))
                check_limits(entries, size, limits)
                path = part.inside(checked_path(member.name, limits), member.isdir())
                if not path:
                    continue
                if member.issym():
                    links.append((path, member.linkname))
                else:
                    write_member(archive, member, target, path)
    except (tarfile.TarError, EOFError) as error:
        raise BuildError("source_invalid", f"The source archive cannot be read: {error}.") from error
    part.check()
    # Links come last, so that no member can be written through one.
    for path, link in links:
        write_link(target, path, link)
    return Unpacked(entries, size, newest)


def members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield what matters of a commit; the root entry itself is skipped."""
    for member in archive:
        if posixpath.normpath(member.name) == ".":
            continue
        if not (member.isreg() or member.isdir() or member.issym()):
            raise refused(member.name, "is neither a file, a folder nor a symbolic link")
        yield member
        archive.members = []  # type: ignore[attr-defined]  # a long archive must not be kept in memory


def check_limits(entries: int, size: int, limits: SourceLimits) -> None:
    if entries > limits.entries:
        raise too_large(f"holds more than {limits.entries:,} files")
    if size > limits.total_bytes:
        raise too_large(f"is larger than {limits.total_bytes / 1024**2:,.0f} MiB")


def too_large(what: str) -> BuildError:
    hint = "Keep build products, data and dependencies out of git, or list them in .slugignore of a smaller repository."
    return BuildError("source_too_large", f"The source {what}.", hint=hint)


def checked_path(name: str, limits: SourceLimits) -> str:
    """Return the normalised relative path, or raise for one that a commit cannot honestly hold."""
    parts = name.removeprefix("./").rstrip("/").split("/")
    if name.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\0" in name:
        raise refused(name, "is not a path inside the repository")
    if parts[0].lower() == ".git" or any(part.lower() == ".git" for part in parts):
        raise refused(name, "reaches into git's own folder")
    if parts[0] == RESERVED:
        raise refused(name, f"uses the name {RESERVED}, which the platform keeps for its own files")
    if len(os.fsencode(name)) > limits.path_bytes or any(
        len(os.fsencode(p)) > limits.name_bytes for p in parts
    ):
        raise refused(name[:60] + "…", "has a name that is too long")
    return "/".join(parts)


def refused(name: str, reason: str) -> BuildError:
    return BuildError(
        "source_refused", f"{name!r} {reason}.", hint="Remove or rename it, commit and push again."
    )


def write_member(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path, path: str) -> None:
    place = target / path
    try:
        if member.isdir():
            place.mkdir(mode=0o755, parents=True, exist_ok=True)
            return
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        mode = 0o755 if member.mode & 0o111 else 0o644
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except (FileExistsError, NotADirectoryError) as error:
        raise refused(path, "appears twice in the source") from error
    with os.fdopen(handle, "wb") as file:
        content = archive.extractfile(member)
        if content is not None:
            shutil.copyfileobj(content, file, 1024 * 1024)


def write_link(target: Path, path: str, link: str) -> None:
    if leaves_tree(path, link):
        raise refused(path, f"is a link out of the repository (to {link!r})")
    place = target / path
    if passes_link(target, path):
        raise refused(path, "lies below a link")
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        place.symlink_to(link)
    except OSError as error:
        raise refused(path, "appears twice in the source") from error


def leaves_tree(path: str, link: str) -> bool:
    """True when `link`, seen from the folder of `path`, is absolute, empty or climbs above the root at any point."""
    if not link or link.startswith("/") or "\0" in link:
        return True
    depth = path.count("/")
    for part in link.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            return True
    return False


def passes_link(target: Path, path: str) -> bool:
    parents = Path(path).parents
    return any((target / parent).is_symlink() for parent in list(parents)[:-1])
