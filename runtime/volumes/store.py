"""The volumes of a host: made once, mounted while somebody holds them, never writable twice, removed only on request.

In: owners' wishes and containers that come and go.  Out: mounted directories, records on disk, `VolumeStatus` values.

Inside a volume, owners are stored as containers see them (0 to 65,535); each container gets an idmapped view. So the
data does not depend on the id range that its owner happens to have on this host.
All of it runs inside the private mount namespace, where the mounts are.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from runtime.container import syscalls
from runtime.model import VolumeHolder, VolumeMount, VolumeSpec, VolumeStatus
from runtime.volumes import ext4, freezing, loop, records
from runtime.volumes.errors import (
    NoSpace,
    VolumeBusy,
    VolumeError,
    VolumeExists,
    VolumeInvalid,
    VolumeMissing,
)
from runtime.volumes.records import DISK, VolumeRecord

APP_UID = 1000  # as in `runtime.container.owners`: whom an empty volume belongs to
_OPTIONS = "discard,errors=remount-ro"
_FREE_WITHIN = 10.0
_SPARE = 64 * 1024**2  # bytes that stay free on the host, whatever is promised


@dataclass(frozen=True)
class Held:
    """A volume that a container holds now. `fresh`: nobody has written to it yet."""

    id: str
    path: Path
    fresh: bool
    note: str = ""


class VolumeStore:
    """`directory` holds the volumes on disk, `mounts` their mount points."""

    def __init__(self, directory: Path, mounts: Path) -> None:
        self.directory = directory
        self._mounts = mounts
        self._records: dict[str, VolumeRecord] = {}
        self._holders: dict[str, dict[str, VolumeHolder]] = {}
        self._locks: dict[str, threading.RLock] = {}
        self._lock = threading.RLock()

    def recover(self, held: Iterable[tuple[str, str, str]]) -> None:
        """Take over from a previous process: (volume key, container, name) of what is held."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        for draft in (
            *self.directory.glob(".*"),
            *self.directory.glob("*/.*"),
            *self.directory.glob("*/*/.*"),
        ):
            shutil.rmtree(draft) if draft.is_dir() else draft.unlink()
        for file in self.directory.glob("*/snapshots/*.ext4"):
            if not file.with_suffix(".json").exists():  # never finished, or half removed
                file.unlink()
        self._records, self._holders = records.load_all(self.directory), {}
        for key, container, name in held:
            volume, _, access = key.rpartition(":")
            holder = VolumeHolder(container=container, name=name, read_only=access == "ro")
            self._holders.setdefault(volume, {})[container] = holder
        for target in self._mounts.glob("*"):
            if target.is_mount():
                freezing.thaw(target)  # an agent that was killed together with its guard
            if not self._holders.get(target.name):
                self._unmount(target.name)

    def list(self) -> tuple[VolumeStatus, ...]:
        with self._lock:
            known = tuple(self._records.values())
        return tuple(self._status(record) for record in known)

    def inspect(self, volume: str) -> VolumeStatus:
        return self._status(self.record(volume))

    def create(self, spec: VolumeSpec) -> VolumeStatus:
        """Make a volume; the same again is a no-op. Raises VolumeExists, VolumeInvalid, NoSpace."""
        with self._lock_of(spec.id):
            known = self._records.get(spec.id)
            if known is not None:
                if (known.owner, known.name) != (spec.owner, spec.name):
                    raise VolumeExists(f"Volume {spec.id} exists already: it is {known.owner}/{known.name}.")
                return self._status(known)
            records.check_size(spec.size_bytes)
            with self.draft(spec.id, spec.owner, spec.name) as folder:
                self.make_room(spec.size_bytes)
                ext4.make(folder / DISK, spec.size_bytes, APP_UID)
                return self.adopt(folder, new_record(spec.id, spec.owner, spec.name, spec.size_bytes))

    def grow(self, volume: str, size: int) -> VolumeStatus:
        """Let a volume hold more, also while it is used. The size it has is a no-op."""
        with self.changing(volume) as record:
            if records.check_size(size) < record.size_bytes:
                raise VolumeInvalid(
                    f"Volume {record.name} has {show(record.size_bytes)} and cannot shrink to {show(size)}; "
                    "make a smaller one and copy what you need."
                )
            if size > record.size_bytes:
                self.make_room(size - record.size_bytes)
                self._grow(record, size)
                self.update(record, size_bytes=size)
        return self.inspect(volume)

    def remove(self, volume: str) -> None:
        """Delete a volume, its data and its snapshots. A no-op when it is gone. Raises VolumeBusy naming holders."""
        with contextlib.suppress(VolumeMissing), self.changing(volume) as record:
            self.refuse_held(record, "removed")
            folder, doomed = self.folder(volume), self.directory / f".{volume}.gone"
            self.wait_free(record)
            with self._lock:
                folder.rename(doomed)
                del self._records[volume]
            shutil.rmtree(doomed)

    def retain(self, volume: str) -> VolumeStatus:
        """Take a volume from its owner and keep it; its name becomes free. Raises VolumeBusy."""
        with self.changing(volume) as record:
            self.refuse_held(record, "retained")
            self.update(record, retained=True)
        return self.inspect(volume)

    def give(self, volume: str, owner: str, name: str) -> VolumeStatus:
        """Attach a retained volume to an owner again, the same or another, under a name."""
        with self.changing(volume) as record, self._lock:
            if (record.owner, record.name) == (owner, name) and not record.retained:
                return self._status(record)
            if not record.retained:
                raise VolumeExists(
                    f"Volume {volume} belongs to {record.owner} as {record.name}; retain it first."
                )
            self._refuse_taken(owner, name)
            self.update(record, owner=owner, name=name, retained=False)
        return self.inspect(volume)

    def hold(self, owner: str, mount: VolumeMount, container: str, name: str) -> Held:
        """Mount a volume for a container, made or grown as it wishes. Raises VolumeBusy when it has a writer."""
        record = self._find(owner, mount)
        if mount.size_bytes > record.size_bytes:
            self.grow(record.id, mount.size_bytes)
        holder = VolumeHolder(container=container, name=name, read_only=mount.read_only)
        with self.changing(record.id) as record:
            self._refuse_second_writer(record, holder)
            note = self._enter(record, holder)
            return Held(record.id, self.target(record.id), not record.seeded, note)

    def release(self, volume: str, container: str) -> None:
        """A container less; the last one unmounts it."""
        with self._lock_of(volume):
            with self._lock:
                holders = self._holders.get(volume, {})
                holders.pop(container, None)
                if holders:
                    return
                self._holders.pop(volume, None)
            self._unmount(volume)

    def key_of(self, volume: str, *, read_only: bool) -> str:
        """Return what a container's record says of a volume it holds: see `recover`."""
        return f"{volume}:{'ro' if read_only else 'rw'}"

    def mark_seeded(self, volume: str) -> None:
        with self.changing(volume) as record:
            if not record.seeded:
                self.update(record, seeded=True)

    def held(self) -> frozenset[str]:
        """Return the ids of volumes that somebody holds."""
        with self._lock:
            return frozenset(volume for volume, holders in self._holders.items() if holders)

    def look_after(self) -> tuple[str, ...]:
        """Mount again what lost its mount while containers use it; return a sentence for each."""
        return tuple(filter(None, (self._mend(volume) for volume in self.held())))

    # What snapshots and imports build on.

    def record(self, volume: str) -> VolumeRecord:
        with self._lock:
            if volume not in self._records:
                raise VolumeMissing(f"There is no volume {volume} on this host: python -m runtime volumes.")
            return self._records[volume]

    def folder(self, volume: str) -> Path:
        return self.directory / volume

    def target(self, volume: str) -> Path:
        return self._mounts / volume

    @contextlib.contextmanager
    def changing(self, volume: str) -> Iterator[VolumeRecord]:
        """One change of a volume at a time."""
        with self._lock_of(volume):
            yield self.record(volume)

    def update(self, record: VolumeRecord, **changes: object) -> VolumeRecord:
        changed = msgspec.structs.replace(record, **changes)
        records.save(self.folder(record.id), changed)
        with self._lock:
            self._records[record.id] = changed
        return changed

    @contextlib.contextmanager
    def draft(self, volume: str, owner: str, name: str) -> Iterator[Path]:
        """A folder in which a volume is made; nothing of it is left unless it was adopted."""
        records.check_name(volume, "volume id")
        with self._lock:
            if volume in self._records:
                raise VolumeExists(f"Volume {volume} exists already on this host.")
            self._refuse_taken(owner, name)
        folder = self.directory / f".{volume}.{uuid.uuid4().hex[:8]}"
        try:
            (folder / "snapshots").mkdir(mode=0o700, parents=True)
            yield folder
        except OSError as error:
            raise NoSpace(f"Volume {name} could not be made: {error}.") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def adopt(self, folder: Path, record: VolumeRecord) -> VolumeStatus:
        """Let a finished draft become a volume, in one step."""
        records.save(folder, record)
        with self._lock:
            self._refuse_taken(record.owner, record.name)
            if self.folder(record.id).exists():
                raise VolumeExists(f"Volume {record.id} exists already on this host.")
            folder.rename(self.folder(record.id))
            self._records[record.id] = record
        return self._status(record)

    def make_room(self, size: int) -> None:
        """Raise NoSpace unless the disk can hold `size` bytes more than what it has promised to all volumes."""
        disk = os.statvfs(self.directory)
        free = disk.f_bavail * disk.f_frsize - _SPARE
        promised = sum(max(0, one.size_bytes - one.used_bytes) for one in self.list())
        if size > free - promised:
            raise NoSpace(
                f"This host cannot promise {show(size)} more: {show(max(0, free))} are free on its disk, "
                f"and {show(promised)} of that are promised to other volumes."
            )

    def refuse_held(self, record: VolumeRecord, what: str) -> None:
        with self._lock:
            holders = tuple(self._holders.get(record.id, {}).values())
        if holders:
            names = ", ".join(f"{one.name} ({one.container or 'a copy'})" for one in holders)
            raise VolumeBusy(
                f"Volume {record.name} is in use by {names} and cannot be {what}; stop that first."
            )

    def wait_free(self, record: VolumeRecord) -> None:
        """Wait until no mount that is just going uses the file; two at once would destroy it."""
        deadline = time.monotonic() + _FREE_WITHIN
        while device := loop.device_of(self.folder(record.id) / DISK):
            if time.monotonic() > deadline:
                raise VolumeBusy(
                    f"Volume {record.name} is still mounted from {device} by something this agent does not know; "
                    "python -m runtime doctor may say what. It is not mounted a second time."
                )
            time.sleep(0.01)

    def keep_mounted(self, volume: str, holder: VolumeHolder) -> bool:
        """Hold a mounted volume for a copy; False when nobody has it mounted."""
        with self.changing(volume):
            with self._lock:
                if not self._holders.get(volume):
                    return False
                self._holders[volume][holder.name] = holder
            self._mend(volume)
            return True

    # The rest is this class's own.

    def _lock_of(self, volume: str) -> threading.RLock:
        with self._lock:
            return self._locks.setdefault(volume, threading.RLock())

    def _find(self, owner: str, mount: VolumeMount) -> VolumeRecord:
        with self._lock:
            known = self._named(owner, mount.name)
        if known is not None:
            return known
        if not mount.size_bytes:
            raise VolumeMissing(
                f"Volume {mount.name} is not on this host. It is never replaced by an empty one: import its backup, "
                "or create it anew."
            )
        spec = VolumeSpec(id=uuid.uuid4().hex, owner=owner, name=mount.name, size_bytes=mount.size_bytes)
        try:
            return self.record(self.create(spec).id)
        except VolumeExists:  # another thread was faster
            return self._find(owner, mount)

    def _named(self, owner: str, name: str) -> VolumeRecord | None:
        named = (one for one in self._records.values() if (one.owner, one.name) == (owner, name))
        return next((one for one in named if not one.retained), None)

    def _refuse_taken(self, owner: str, name: str) -> None:
        records.check_owner(owner)
        records.check_name(name)
        if self._named(owner, name) is not None:
            raise VolumeExists(f"{owner} has a volume named {name} already; choose another name.")

    def _refuse_second_writer(self, record: VolumeRecord, holder: VolumeHolder) -> None:
        with self._lock:
            others = tuple(self._holders.get(record.id, {}).values())
        writer = next(
            (one for one in others if not one.read_only and one.container != holder.container), None
        )
        if writer is not None and not holder.read_only:
            raise VolumeBusy(
                f"Volume {record.name} is mounted writable in {writer.name} ({writer.container}); it has one writer "
                "at a time. Stop that one first, or mount it read-only."
            )

    def _enter(self, record: VolumeRecord, holder: VolumeHolder) -> str:
        with self._lock:
            self._holders.setdefault(record.id, {})[holder.container] = holder
        try:
            return "" if self.target(record.id).is_mount() else self._mount(record)
        except BaseException:
            self.release(record.id, holder.container)
            raise

    def _mount(self, record: VolumeRecord) -> str:
        file, target = self.folder(record.id) / DISK, self.target(record.id)
        self.wait_free(record)
        note = ext4.check(file, record.name)
        ext4.fit(file, record.size_bytes)
        self._mounts.mkdir(mode=0o700, exist_ok=True)
        target.mkdir(mode=0o700, exist_ok=True)
        try:
            loop.mount_file(file, target, "ext4", readonly=False, data=_OPTIONS)
        except OSError as error:
            raise VolumeError(f"Volume {record.name} could not be mounted: {error}.") from error
        ext4.settle(loop.device_of(file), target, record.size_bytes)
        return note

    def _mend(self, volume: str) -> str:
        with self.changing(volume) as record:
            target, device = self.target(volume), loop.device_of(self.folder(volume) / DISK)
            if volume not in self.held() or target.is_mount():
                return ""
            target.mkdir(mode=0o700, exist_ok=True)
            if not device:
                self._mount(record)
            else:  # the containers' own mounts are there: the same device gives the same file system
                syscalls.mount(device, target, "ext4", syscalls.MS_NOSUID | syscalls.MS_NODEV, _OPTIONS)
            return f"Volume {record.name} had lost its mount on this host; it is mounted again."

    def _grow(self, record: VolumeRecord, size: int) -> None:
        file, target = self.folder(record.id) / DISK, self.target(record.id)
        if target.is_mount():
            device = loop.device_of(file)
            ext4.fit_mounted(file, device, size, record.name)
            ext4.settle(device, target, size)
        else:  # mounted once, it also knows what to refuse
            self._mount(msgspec.structs.replace(record, size_bytes=size))
            self._unmount(record.id)

    def _unmount(self, volume: str) -> None:
        target = self.target(volume)
        for flags in (0, syscalls.MNT_DETACH):
            with contextlib.suppress(OSError):
                syscalls.umount(target, flags)
        with contextlib.suppress(OSError):
            target.rmdir()

    def _status(self, record: VolumeRecord) -> VolumeStatus:
        folder = self.folder(record.id)
        with self._lock:
            holders = tuple(self._holders.get(record.id, {}).values())
        files = (file for file in folder.rglob("*.ext4") if not file.name.startswith("."))
        return VolumeStatus(
            id=record.id,
            owner=record.owner,
            name=record.name,
            size_bytes=record.size_bytes,
            used_bytes=self._used(record),
            disk_bytes=sum(_disk_bytes(file) for file in files),
            created_at=record.created_at,
            storage_class=record.storage_class,
            source=record.source,
            retained=record.retained,
            snapshots=len(records.load_snapshots(folder)),
            holders=holders,
        )

    def _used(self, record: VolumeRecord) -> int:
        target, file = self.target(record.id), self.folder(record.id) / DISK
        try:
            if target.is_mount():
                return ext4.mounted_used(target, record.size_bytes)
            return ext4.read_room(file).used(record.size_bytes)
        except (OSError, VolumeError):
            return 0


def new_record(volume: str, owner: str, name: str, size: int, **more: Any) -> VolumeRecord:
    return VolumeRecord(id=volume, owner=owner, name=name, size_bytes=size, created_at=time.time(), **more)


def show(size: int) -> str:
    """Return a size as people write it. Pure."""
    for unit, name in ((1024**4, "TiB"), (1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} bytes"


def _disk_bytes(file: Path) -> int:
    try:
        return file.stat().st_blocks * 512
    except FileNotFoundError:
        return 0
