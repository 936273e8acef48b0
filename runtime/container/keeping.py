"""What a host keeps beside containers: images, volumes and the ranges of owners.

In: the calls of the port `Engine` about them.  Out: files of the data directory, made and removed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from runtime.container import stock
from runtime.container.ledger import Ledger
from runtime.container.port import EngineError, StoredImage, StoredVolume
from runtime.model import ImageRef
from runtime.volumes.service import VolumeService


class Keeping(Ledger):
    """A part of `CrunEngine`."""

    def missing_images(self, refs: tuple[ImageRef, ...]) -> tuple[ImageRef, ...]:
        return self._parts.images.missing(refs)

    def add_image(self, ref: ImageRef, file: Path) -> None:
        self._parts.images.add(ref, file)

    def image_file(self, ref: ImageRef) -> Path:
        path = self._parts.images.path(ref)
        if not path.exists():
            raise EngineError(f"Image {ref.digest} is not on this host.")
        return path

    def images(self) -> tuple[ImageRef, ...]:
        """Return every image on this host."""
        return self._parts.images.list()

    def remove_image(self, ref: ImageRef) -> None:
        """Delete an image. Containers that run from it are not disturbed."""
        self._mounts.call(self._parts.images.remove, ref)
        with (
            self._lock
        ):  # a copy, unlike a mounted file, would vanish under those who use it; the next start sweeps
            used = self._making or any(ref.digest in one.images for one in self._records.values())
            doomed = () if used else self._parts.lowers.put_aside(ref)
        for copy in doomed:
            shutil.rmtree(copy, ignore_errors=True)

    def stored_images(self) -> tuple[StoredImage, ...]:
        return stock.images(self._parts, tuple(self._records.values()))

    def stored_volumes(self) -> tuple[StoredVolume, ...]:
        return stock.volumes(self._parts)

    def remove_volume(self, owner: str, name: str) -> bool:
        return stock.remove_volume(self._parts, owner, name)

    def keeper(self) -> VolumeService:
        return VolumeService(self._parts.data, self._mounts.call)

    def owners(self) -> tuple[str, ...]:
        return tuple(self._parts.owners.all())

    def forget_owner(self, owner: str) -> bool:
        with self._lock:  # `create` counts its owner in under the same lock, before it asks for the range
            busy = self._making[owner] or any(record.owner == owner for record in self._records.values())
            if busy:
                return False
            self._parts.wiring.expel(owner)
            return stock.forget_owner(self._parts, owner)

    def remove_volumes(self, owner: str) -> None:
        """Delete the volumes of an app that is gone."""
        self._parts.volumes.remove_owner(self._parts.owners.range_start(owner))
