"""What a host keeps: images and volumes and which of them somebody uses; and what a container uses.

In: the engine's parts and records.  Out: `StoredImage`, `StoredVolume`, `Usage`; a volume removed when nobody uses it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from runtime.container import counters
from runtime.container.parts import Parts
from runtime.container.port import StoredImage, StoredVolume, Usage
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


def usage(parts: Parts, record: Record) -> Usage | None:
    """Return a container's counters, None when it is gone. Runs in the mount namespace, where its disk is."""
    layout = parts.layout
    counted = parts.cgroups.usage(layout.cgroup_of(record.id), record.memory_limit_bytes)
    if counted is None:
        return None
    interface = parts.pool.slot(record.slot, record.address).interface if record.slot >= 0 else ""
    received, sent = counters.interface_bytes(interface) if interface else (0, 0)
    used, size = counters.filesystem_bytes(str(layout.work(record.id) / "rootfs"))
    return msgspec.structs.replace(
        counted,
        network_received_bytes=received,
        network_sent_bytes=sent,
        disk_used_bytes=used,
        disk_limit_bytes=size,
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
    if start is not None:
        parts.lowers.forget_range(start)
    return True
