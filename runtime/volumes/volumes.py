"""Named persistent volumes: one ext4 in a sparse file each, so that its size is a hard limit.

In: an owner's range, a name and a size.  Out: a directory, mounted for as long as a container uses it.
Volumes are filed by the owner's range: no name, however chosen, reaches the volume of another app.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from runtime.container import syscalls
from runtime.container.port import EngineError
from runtime.volumes import loop

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
_BLOCK = 4096
_SMALLEST = 16 * 1024**2
_RESIZE_AND_REPAIRED = (0, 1, 2)


class Volumes:
    """`directory` holds the files on disk, `mounts` the mount points (inside the private mount namespace)."""

    def __init__(self, directory: Path, mounts: Path) -> None:
        self._directory = directory
        self._mounts = mounts
        self._lock = threading.Lock()
        self._users: Counter[str] = Counter()

    def open(self, owner_start: int, name: str, size: int, app_uid: int) -> tuple[str, Path]:
        """Mount the volume; it is made, grown or (when damaged) remade as needed. Returns its key and directory."""
        if not _NAME.match(name):
            raise EngineError(f"The volume name {name!r} must be 1-100 letters, digits, '.', '_' or '-'.")
        key = f"{owner_start}/{name}"
        target = self._mounts / key
        with self._lock:
            if not target.is_mount():
                target.mkdir(mode=0o755, parents=True, exist_ok=True)
                self._mount(key, target, max(_SMALLEST, -(-size // _BLOCK) * _BLOCK), app_uid)
            self._users[key] += 1
        return key, target

    def adopt(self, keys: Iterable[str]) -> None:
        """Take over the users (one key each) of a previous process; volumes without any are unmounted."""
        with self._lock:
            self._users = Counter(keys)
            for target in self._mounts.glob("*/*"):
                if not self._users[f"{target.parent.name}/{target.name}"]:
                    _unmount(target)

    def release(self, key: str) -> None:
        """One user less; the last one unmounts it."""
        with self._lock:
            self._users[key] -= 1
            if self._users[key] <= 0:
                del self._users[key]
                _unmount(self._mounts / key)

    def stored(self, owner_start: int) -> tuple[tuple[str, int, float, bool], ...]:
        """Return (name, bytes on disk, last written, in use) of an owner's volumes."""
        found = []
        for file in sorted((self._directory / str(owner_start)).glob("*.ext4")):
            with contextlib.suppress(FileNotFoundError):
                stat = file.stat()
                used = self._users[f"{owner_start}/{file.stem}"] > 0
                found.append((file.stem, stat.st_blocks * 512, stat.st_mtime, used))
        return tuple(found)

    def remove(self, owner_start: int, name: str) -> bool:
        """Delete a volume unless it is in use."""
        if not _NAME.match(name):
            return True
        with self._lock:
            if self._users[f"{owner_start}/{name}"] > 0:
                return False
            folder = self._directory / str(owner_start)
            (folder / f"{name}.ext4").unlink(missing_ok=True)
            for notes in folder.glob(f"{name}.packed*"):
                notes.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the last one takes the folder along
                folder.rmdir()
            return True

    def notes(self, key: str) -> Path:
        """Where the agent keeps what it knows of a volume's builds: beside it, out of reach of whoever writes to it,
        and gone with it."""
        return self._directory / f"{key}.packed"

    def used(self) -> tuple[str, ...]:
        """Return the keys of the volumes that somebody uses."""
        with self._lock:
            return tuple(key for key, users in self._users.items() if users > 0)

    def has_any(self, owner_start: int) -> bool:
        """Tell whether anything is filed under an owner's range."""
        folder = self._directory / str(owner_start)
        return folder.is_dir() and any(folder.iterdir())

    def remove_owner(self, owner_start: int) -> None:
        """Delete all volumes of an owner; those in use live on until they are unmounted."""
        shutil.rmtree(self._directory / str(owner_start), ignore_errors=True)

    def _mount(self, key: str, target: Path, size: int, app_uid: int) -> None:
        file = self._directory / f"{key}.ext4"
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            _prepare(file, size, app_uid)
            _mount_ext4(file, target)
        except (OSError, EngineError):
            file.unlink(
                missing_ok=True
            )  # a cache that cannot be repaired is worth less than a build that works
            loop.make_ext4(file, size, app_uid, journal=True)
            _mount_ext4(file, target)


def _prepare(file: Path, size: int, app_uid: int) -> None:
    if not file.exists():
        loop.make_ext4(file, size, app_uid, journal=True)
        return
    loop.run_tool("e2fsck", "-p", str(file), accept=_RESIZE_AND_REPAIRED)
    if size > file.stat().st_size:
        with file.open("r+b") as stream:
            stream.truncate(size)
        loop.run_tool("e2fsck", "-f", "-p", str(file), accept=_RESIZE_AND_REPAIRED)
        loop.run_tool("resize2fs", str(file))


def _unmount(target: Path) -> None:
    with contextlib.suppress(OSError):
        syscalls.umount(target)
    with contextlib.suppress(OSError):
        target.rmdir()


def _mount_ext4(file: Path, target: Path) -> None:
    # discard: what a build deletes goes back to the host's disk; an error must not stay unnoticed as "read-only".
    loop.mount_file(file, target, "ext4", readonly=False, data="discard,errors=remount-ro")
