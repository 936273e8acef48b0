"""Files on their way between a host and a container, as a tar stream.

In: a path to read, or a stream and a folder to write.  Out: the other one. Neither side trusts the other: nothing is
written outside the folder or through a link, and no device, fifo, hard link or set-user-id file is made.

Memory is bounded: a member at a time, in pieces. Only `tarfile`'s parser is used, none of its extraction.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

PIECE = 64 * 1024
DEEPEST = 100  # folders
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Refused(Exception):
    """A member that must not be written, or a path that cannot be read: a sentence."""


def pack(path: str, stream: IO[bytes], note: Callable[[str], None]) -> None:
    """Write `path`, a file or a folder with all below it, to `stream` under its own name.

    What cannot be taken along (devices, sockets, links that lead out) is left out, with a `note`.
    """
    path = os.path.normpath(path)
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT, bufsize=PIECE) as tar:
        for place, name in _walk(path, Path(path).name or "root"):
            _pack_one(tar, place, name, note)


def _walk(path: str, name: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    yield path, name
    if depth < DEEPEST and stat.S_ISDIR(os.lstat(path).st_mode):
        with suppress(PermissionError):
            for entry in sorted(os.listdir(path)):  # noqa: PTH208 - names as they are, bytes that are no text too
                yield from _walk(f"{path.rstrip('/')}/{entry}", f"{name}/{entry}", depth + 1)


def _pack_one(tar: tarfile.TarFile, path: str, name: str, note: Callable[[str], None]) -> None:
    try:
        found = os.lstat(path)
        if stat.S_ISREG(found.st_mode):
            return _pack_file(tar, path, name)
        info = _info(name, found)
        if stat.S_ISDIR(found.st_mode):
            info.type = tarfile.DIRTYPE
        elif stat.S_ISLNK(found.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, str(Path(path).readlink())
            _check_link(name.split("/"), info.linkname)
        else:
            return note(f"{path} is left out: it is no file, folder or link")
        return tar.addfile(info)
    except PermissionError:
        return note(f"{path} is left out: it cannot be read")
    except FileNotFoundError:  # gone meanwhile
        return None
    except Refused as error:
        return note(f"{path} is left out: {error}")


def _pack_file(tar: tarfile.TarFile, path: str, name: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        info = _info(name, found)
        info.size = found.st_size
        tar.addfile(info, _Exactly(file, found.st_size))  # type: ignore[arg-type]


class _Exactly:
    """A file that may grow or shrink while it is read, at the size it had."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left))
        data += b"\0" * (min(size, self._left) - len(data))
        self._left -= len(data)
        return data


def _info(name: str, found: os.stat_result) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode = stat.S_IMODE(found.st_mode) & 0o777
    info.mtime = int(found.st_mtime)
    return info


def unpack(stream: IO[bytes], path: str) -> None:
    """Write the members of `stream` at `path`: into it when it is a folder (or ends with /), else as it.

    Raises Refused; what was written before stays.
    """
    into = path.endswith("/") or Path(path).is_dir()
    folder, name = (path, "") if into else (str(Path(path).parent), Path(path).name)
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(f"{folder} is no folder to write to: {error.strerror}.") from error
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=PIECE) as tar:
            for member in tar:
                parts = _parts(member.name)
                _unpack_one(tar, member, root, [name, *parts[1:]] if name else parts)
    except tarfile.TarError as error:
        raise Refused(f"This is no whole tar stream: {error}.") from error
    finally:
        os.close(root)


def _parts(name: str) -> list[str]:
    """The folders and the name of a member. Pure."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise Refused(f"{name!r} leads out of the folder.")
    if not parts or len(parts) > DEEPEST:
        raise Refused(f"{name!r} is no name that can be written.")
    return parts


def _check_link(parts: list[str], target: str) -> None:
    """Raise Refused for a link that leads out of the folder that is copied. Pure."""
    depth = len(parts) - 1
    steps = target.split("/")
    if target.startswith("/") or not target:
        raise Refused(f"the link {'/'.join(parts)} leads to {target!r}, out of the folder")
    for step in steps:
        depth += -1 if step == ".." else 0 if step in ("", ".") else 1
        if depth < 0:
            raise Refused(f"the link {'/'.join(parts)} leads to {target!r}, out of the folder")


def _unpack_one(tar: tarfile.TarFile, member: tarfile.TarInfo, root: int, parts: list[str]) -> None:
    if member.mode & (stat.S_ISUID | stat.S_ISGID):
        raise Refused(f"{member.name!r} has a set-user-id or set-group-id bit.")
    if not (member.isreg() or member.isdir() or member.issym()):
        raise Refused(
            f"{member.name!r} is a device, a fifo or a hard link; only files, folders and links are written."
        )
    if member.issym():
        _check_link(parts, member.linkname)
    folder = _open_folder(root, parts[:-1])
    try:
        _write(tar, member, folder, parts[-1])
    except FileExistsError as error:
        raise Refused(f"{'/'.join(parts)} is there already and cannot be replaced.") from error
    except OSError as error:
        raise Refused(f"{'/'.join(parts)} could not be written: {error.strerror}.") from error
    finally:
        os.close(folder)


def _open_folder(root: int, parts: list[str]) -> int:
    """Go down from `root` without following a link, making what is missing."""
    here = os.dup(root)
    for part in parts:
        try:
            with suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=here)
            below = os.open(part, _FOLDER, dir_fd=here)
        except OSError as error:
            raise Refused(
                f"{'/'.join(parts)} cannot be written to: {part} is a link or no folder."
            ) from error
        finally:
            os.close(here)
        here = below
    return here


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: int, name: str) -> None:
    if member.isdir():
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=folder)
        below = os.open(name, _FOLDER, dir_fd=folder)
        try:
            os.fchmod(below, member.mode & 0o777 | 0o700)
        finally:
            os.close(below)
        return
    with suppress(FileNotFoundError, IsADirectoryError, PermissionError):
        os.unlink(name, dir_fd=folder)
    if member.issym():
        os.symlink(member.linkname, name, dir_fd=folder)
        return
    source = tar.extractfile(member)
    descriptor = os.open(name, _NEW, 0o600, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as file:
        while source and (piece := source.read(PIECE)):
            file.write(piece)
        file.flush()
        os.fchmod(descriptor, member.mode & 0o777)
        os.utime(descriptor, (member.mtime, member.mtime))
