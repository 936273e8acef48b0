"""What a host keeps beside its containers: images and volumes, and which of them somebody uses.

In: the engine's parts and records.  Out: `StoredImage` and `StoredVolume`; a volume removed when nobody uses it.
"""

from __future__ import annotations

from collections.abc import Iterable

from runtime.container.making import Parts
from runtime.container.port import StoredImage, StoredVolume
from runtime.container.storage import Record


def images(parts: Parts, records: Iterable[Record]) -> tuple[StoredImage, ...]:
    """Return every image of the store."""
    used = {digest for record in records for digest in record.images}
    return tuple(
        StoredImage(
            digest=ref.digest,
            size=ref.size,
            used_at=parts.images.used_at(ref),
            in_use=ref.digest in used,
        )
        for ref in parts.images.list()
    )


def volumes(parts: Parts) -> tuple[StoredVolume, ...]:
    """Return every volume of a known owner."""
    return tuple(
        StoredVolume(owner=owner, name=name, disk_bytes=size, used_at=used_at, in_use=used)
        for owner, start in parts.owners.all().items()
        for name, size, used_at, used in parts.volumes.stored(start)
    )


def remove_volume(parts: Parts, owner: str, name: str) -> bool:
    """Delete a volume; False when a container uses it."""
    start = parts.owners.all().get(owner)
    return start is None or parts.volumes.remove(start, name)


def forget_owner(parts: Parts, owner: str) -> bool:
    """Free an owner's range; False when volumes are filed under it."""
    start = parts.owners.all().get(owner)
    if start is not None and parts.volumes.has_any(start):
        return False
    parts.owners.forget(owner)
    return True
