"""How the files of images get the owners that a container's user namespace wants.

In: images, an owner's range.  Out: lower directories for its root, and whether they are still to be idmapped.

Images have root's files as 0, on disk. In a user namespace that is the host's uid `start`. By age of the kernel:
squashfs can be idmapped since 6.2; before, an unpacked copy on a file system that can be (ext4 since 5.12, as a layer
of overlayfs since 5.19), one per image; before that, a copy per range whose files are given to it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path

from runtime.container.port import EngineError
from runtime.images import hoststack
from runtime.images.store import Images, hex_of
from runtime.model import ImageRef, Rootfs
from runtime.volumes.loop import run_tool


class Shift(StrEnum):
    IDMAPPED = "idmapped"  # the mounted squashfs itself
    UNPACKED = "unpacked"  # one unpacked copy of it for all
    CHOWNED = "chowned"  # one unpacked copy per range
    NONE = "none"  # no user namespaces


class Lowers:
    """`copies` holds unpacked images: DIGEST for all ranges, DIGEST-START for one; `stack` the host's own."""

    def __init__(self, images: Images, copies: Path, stack: Path, shift: Shift) -> None:
        self._images = images
        self._copies = copies
        self._stack = stack
        self.shift = shift
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}

    @property
    def idmapped(self) -> bool:
        """Whether what `of` gives is still to be idmapped."""
        return self.shift in (Shift.IDMAPPED, Shift.UNPACKED)

    def of(self, root: Rootfs, uid_start: int | None) -> tuple[Path, ...]:
        """Return the lower directories of a root, topmost first."""
        found = [self._layer(ref, uid_start) for ref in root.layers]
        if root.host:
            stack = hoststack.make(self._stack)
            found.append(self._given(stack, uid_start) if self.shift is Shift.CHOWNED else stack)
        return tuple(found)

    def put_aside(self, ref: ImageRef) -> tuple[Path, ...]:
        """Take the copies of an image, which no container runs from, out of use; they are for the caller to remove."""
        return tuple(
            copy.rename(copy.with_name(f".{secrets.token_hex(4)}.{copy.name}"))
            for copy in self._copies.glob(f"{hex_of(ref)}*")
        )

    def forget_range(self, start: int) -> None:
        """Remove the copies that were given to a range."""
        for copy in self._copies.glob(f"*-{start}"):
            shutil.rmtree(copy, ignore_errors=True)

    def sweep(self, used: Iterable[str]) -> None:
        """Remove half-made copies, and those of images that are neither here nor `used` (digests)."""
        known = {ref.digest for ref in self._images.list()} | set(used)
        names = {digest.removeprefix("sha256:") for digest in known}
        for copy in self._copies.glob("*") if self._copies.is_dir() else ():
            stem = copy.name.partition("-")[0]
            if copy.name.startswith(".") or (len(stem) == 64 and stem not in names):
                shutil.rmtree(copy, ignore_errors=True)

    def _layer(self, ref: ImageRef, uid_start: int | None) -> Path:
        if self.shift in (Shift.IDMAPPED, Shift.NONE) or uid_start is None:
            return self._images.mount(ref)
        start = uid_start if self.shift is Shift.CHOWNED else 0
        target = self._copies / (f"{hex_of(ref)}-{start}" if start else hex_of(ref))
        return self._made(target, lambda draft: self._unpack(ref, draft, start))

    def _given(self, stack: Path, uid_start: int | None) -> Path:
        if not uid_start:
            return stack

        def make(draft: Path) -> None:
            shutil.copytree(stack, draft, symlinks=True)
            give(draft, uid_start)

        return self._made(self._copies / f"{stack.name}-{uid_start}", make)

    def _unpack(self, ref: ImageRef, draft: Path, start: int) -> None:
        file = self._images.path(ref)
        if not file.exists():
            raise EngineError(f"Image {ref.digest} is not on this host; fetch it first.")
        run_tool(
            "unsquashfs", "-no-progress", "-quiet", "-no-xattrs", "-d", str(draft), str(file), timeout=1800
        )
        if start:
            give(draft, start)

    def _made(self, target: Path, make: Callable[[Path], None]) -> Path:
        """Return `target`, made whole or not at all; one thread makes it, others wait."""
        with self._lock:
            lock = self._making.setdefault(target.name, threading.Lock())
        with lock:
            if not target.is_dir():
                self._copies.mkdir(mode=0o700, parents=True, exist_ok=True)
                draft = target.with_name(f".{target.name}")
                shutil.rmtree(draft, ignore_errors=True)
                try:
                    make(draft)
                    draft.replace(target)
                except BaseException:
                    shutil.rmtree(draft, ignore_errors=True)
                    raise
            with contextlib.suppress(OSError):
                os.utime(target)
        return target


def give(root: Path, start: int) -> None:
    """Move every owner below `root` up by `start`. Links are not followed."""
    _shift(str(root), start)
    for folder, directories, names in os.walk(root):
        for name in (*directories, *names):
            _shift(os.path.join(folder, name), start)  # noqa: PTH118 - a Path per file would double the time


def _shift(path: str, start: int) -> None:
    status = os.lstat(path)
    os.lchown(path, status.st_uid + start, status.st_gid + start)
