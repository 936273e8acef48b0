"""Volumes and their snapshots.

In: nothing.  Out: types.
"""

from __future__ import annotations

from runtime.model.base import Count, Moment, Size, Struct


class VolumeSpec(Struct):
    """A volume to make. `id` is chosen by whoever asks. `name` is unique per owner; `size_bytes` is what it can hold.

    `source` 'VOLUME-ID/SNAPSHOT' starts it as a copy of that snapshot, at least as large as it.
    """

    id: str
    owner: str
    name: str
    size_bytes: Size
    source: str = ""


class VolumeHolder(Struct):
    """Who has a volume mounted: a container, or a snapshot being taken (`container` '')."""

    container: str
    name: str
    read_only: bool = False


class VolumeStatus(Struct):
    """A volume on this host. Bytes: `used_bytes` of `size_bytes` inside, `disk_bytes` on the host's disk with its
    snapshots. `retained`: nobody's, kept until it is attached or removed. `orphan`: its owner has no container here.
    """

    id: str
    owner: str
    name: str
    size_bytes: Size
    used_bytes: Size
    disk_bytes: Size
    created_at: Moment
    storage_class: str = "local"
    source: str = ""
    retained: bool = False
    orphan: bool = False
    snapshots: Count = 0
    holders: tuple[VolumeHolder, ...] = ()


class VolumeList(Struct):
    volumes: tuple[VolumeStatus, ...] = ()


class Snapshot(Struct):
    """A volume as it was at `created_at`. `disk_bytes`: what it takes, less what it shares (reflink) is not known."""

    name: str
    volume: str
    created_at: Moment
    size_bytes: Size
    disk_bytes: Size = 0


class SnapshotList(Struct):
    snapshots: tuple[Snapshot, ...] = ()


class VolumeChange(Struct):
    """What is to be done with a volume: a new size, a snapshot to take or to go back to, a new owner and name."""

    size_bytes: Size = 0
    snapshot: str = ""
    owner: str = ""
    name: str = ""
