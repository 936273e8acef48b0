"""Files of a container, reached from the host without ever leaving the container's root.

In: paths as the tenant knows them.  Out: bytes, or a directory staged for packing.
Every path is opened by openat2(2) as if the root were /, so that a tenant's symlink cannot point at the host's files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path, PurePosixPath

from runtime.container import syscalls
from runtime.container.port import EngineError


def locate(rootfs: str, binds: tuple[tuple[str, str], ...], path: str) -> tuple[str, str]:
    """Return the directory or file on the host, and the path within it, that `path` means in the container.

    Binds and volumes are only mounted in the container's own view, hence found by their target here.
    """
    pure = PurePosixPath("/", path)
    for target, source in sorted(binds, key=lambda bind: -len(bind[0])):
        if pure.is_relative_to(target):
            return source, str(pure.relative_to(target))
    return rootfs, str(pure.relative_to("/"))


def read(root: str, path: str, limit: int) -> bytes:
    """Read at most `limit` bytes of a regular file. Raises EngineError when there is none."""
    try:
        fd = _open(root, path, os.O_RDONLY | os.O_NONBLOCK, syscalls.RESOLVE_IN_ROOT)
    except OSError as error:
        raise EngineError(
            f"/{path} cannot be read in the container: {os.strerror(error.errno or 0)}."
        ) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise EngineError(f"/{path} in the container is not a regular file.")
    with os.fdopen(fd, "rb") as stream:
        return stream.read(limit)


def tail(file: Path, size: int = 4096) -> bytes:
    """Return the last bytes of a file, b'' when it is not there."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - size))
            return stream.read(size)
    except OSError:
        return b""


def stage_tree(rootfs: Path, directory: str, stage: Path) -> str:
    """Show `directory` of a root file system, and nothing else, under its own path below `stage`; return that path.

    It is not followed when it is a link.
    """
    inner = PurePosixPath("/", directory).relative_to("/")
    if not inner.parts or ".." in inner.parts:
        raise EngineError(f"{directory!r} is not a directory that can be packed.")
    place = stage / inner
    place.mkdir(mode=0o755, parents=True)
    try:
        fd = open_directory(rootfs, str(inner), os.O_PATH)
    except OSError as error:
        raise EngineError(f"{directory} is not a directory in the container; nothing was packed.") from error
    try:
        syscalls.bind(f"/proc/self/fd/{fd}", place, syscalls.MOUNT_ATTR_RDONLY)
    finally:
        os.close(fd)
    for folder in (place.parents[index] for index in range(len(inner.parts))):
        os.utime(folder, (0, 0))
    return str(inner)


def open_directory(root: Path, path: str, flags: int = os.O_RDONLY) -> int:
    """Return a descriptor of a directory below `root`, to which no link led. Raises OSError."""
    resolve = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_SYMLINKS
    return _open(str(root), path, flags | os.O_DIRECTORY, resolve)


def remove_stage(stage: Path) -> None:
    """Unmount and remove a staging tree. The mount is taken off first: what is below it is the container's."""
    for path, _, _ in os.walk(stage):
        if Path(path).is_mount():
            syscalls.umount(path)
    shutil.rmtree(stage, ignore_errors=True)


def _open(root: str, path: str, flags: int, resolve: int) -> int:
    top = os.open(root, os.O_PATH | os.O_CLOEXEC)
    try:
        if path == "." and not Path(root).is_dir():
            return os.open(f"/proc/self/fd/{top}", flags | os.O_CLOEXEC)
        return syscalls.open_beneath(top, path, flags, resolve)
    finally:
        with contextlib.suppress(OSError):
            os.close(top)
