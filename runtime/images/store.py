"""The images of this host: squashfs files by digest, each mounted at most once.

In: downloaded files and references.  Out: verified files under sha256/, and read-only mount points.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import threading
from pathlib import Path

from runtime.container import syscalls
from runtime.container.port import EngineError
from runtime.model import ImageRef
from runtime.volumes import loop

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})\Z")


class Images:
    """`directory` holds the files, `mounts` the mount points (inside the private mount namespace)."""

    def __init__(self, directory: Path, mounts: Path) -> None:
        self._files = directory / "sha256"
        self._mounts = mounts
        self._lock = threading.Lock()
        self.drafts: set[str] = set()  # names of files that are being written

    def path(self, ref: ImageRef) -> Path:
        """Return where the image's file is or would be. Raises EngineError when the digest is malformed."""
        return self._files / hex_of(ref)

    def missing(self, refs: tuple[ImageRef, ...]) -> tuple[ImageRef, ...]:
        return tuple(ref for ref in refs if not self.path(ref).exists())

    def add(self, ref: ImageRef, file: Path) -> None:
        """Move `file` into the store after checking its digest; the file is gone either way."""
        target = self.path(ref)
        digest, _ = digest_of(file)
        if digest != ref.digest:
            file.unlink(missing_ok=True)
            raise EngineError(
                f"The downloaded image is damaged: its digest is {digest}, {ref.digest} was asked for."
            )
        self._files.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.chmod(0o400)
        file.replace(target)

    def keep(self, file: Path) -> ImageRef:
        """Store an image made on this host, beside `file` itself, and return its reference."""
        digest, size = digest_of(file)
        ref = ImageRef(digest=digest, size=size)
        target = self.path(ref)
        if not target.exists():
            self._files.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = target.with_name(f".{target.name}.{threading.get_ident()}")
            self.drafts.add(draft.name)
            try:
                with contextlib.suppress(FileNotFoundError):
                    draft.unlink()
                try:
                    os.link(file, draft)
                except OSError:  # another file system
                    shutil.copyfile(file, draft)
                draft.replace(target)
            finally:
                self.drafts.discard(draft.name)
        return ref

    def unmount_all(self) -> None:
        """Unmount every image."""
        with self._lock:
            for target in self._mounts.glob("*"):
                with contextlib.suppress(OSError):
                    syscalls.umount(target)

    def mount(self, ref: ImageRef) -> Path:
        """Return the directory where the image is mounted read-only."""
        file, target = self.path(ref), self._mounts / hex_of(ref)
        with self._lock:
            with contextlib.suppress(OSError):
                os.utime(file)  # when it was last used decides which images go first
            if target.is_mount():
                return target
            if not file.exists():
                raise EngineError(f"Image {ref.digest} is not on this host; fetch it first.")
            target.mkdir(mode=0o755, parents=True, exist_ok=True)
            try:
                loop.mount_file(file, target, "squashfs", readonly=True)
            except OSError as error:
                raise EngineError(
                    f"Image {ref.digest} is not a squashfs this kernel can mount: {error}."
                ) from error
        return target

    def remove(self, ref: ImageRef) -> None:
        """Forget an image. Containers that run from it keep it until they end."""
        with self._lock:
            target = self._mounts / hex_of(ref)
            with contextlib.suppress(OSError):
                syscalls.umount(target)
            with contextlib.suppress(OSError):
                target.rmdir()
            self.path(ref).unlink(missing_ok=True)

    def list(self) -> tuple[ImageRef, ...]:
        """Return every image on this host with its size."""
        if not self._files.is_dir():
            return ()
        found = (entry for entry in sorted(self._files.iterdir()) if len(entry.name) == 64)
        return tuple(ImageRef(digest=f"sha256:{entry.name}", size=entry.stat().st_size) for entry in found)

    def used_at(self, ref: ImageRef) -> float:
        """Return when the image was stored or last mounted, 0 when it is gone."""
        try:
            return self.path(ref).stat().st_mtime
        except FileNotFoundError:
            return 0.0


def hex_of(ref: ImageRef) -> str:
    """Return the 64 hexadecimal digits, the only part of a digest that becomes a path."""
    match = _DIGEST.match(ref.digest)
    if match is None:
        raise EngineError(f"{ref.digest!r} is not an image digest (sha256: and 64 hexadecimal digits).")
    return match[1]


def digest_of(file: Path) -> tuple[str, int]:
    """Return `sha256:...` and the size of a file."""
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256")
            return f"sha256:{digest.hexdigest()}", os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise EngineError(f"The image file could not be read: {error}.") from error
