"""Snapshots: a volume as it was, taken while it is written to.

In: a volume and a name.  Out: a file beside its data, equal to it at one moment; copies of it as new volumes.

While somebody uses the volume, a first copy is made without disturbing anyone; then the file system is held still,
which also puts everything on disk, and what has changed since is copied. Where the disk can share blocks (xfs, btrfs)
that takes milliseconds. A copy that is not finished within the deadline is thrown away, and the writers go on.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from runtime.model import Snapshot, VolumeHolder, VolumeSpec, VolumeStatus
from runtime.volumes import copying, ext4, freezing, records
from runtime.volumes.errors import NoSpace, VolumeError, VolumeMissing
from runtime.volumes.records import DISK, VolumeRecord
from runtime.volumes.store import VolumeStore, new_record

HOLD_SECONDS = 30.0  # how long writers may have to wait


def take(store: VolumeStore, volume: str, name: str) -> Snapshot:
    """Take a snapshot; one of that name is returned as it is."""
    records.check_name(name, "snapshot name")
    record = store.record(volume)
    if (known := _find(store, volume, name)) is not None:
        return known
    final = _file(store, volume, name)
    with copied(store, record, final.parent) as draft, store.changing(volume):
        if (known := _find(store, volume, name)) is not None:
            return known
        draft.rename(final)
        taken = _describe(record, name, final)
        records.save_snapshot(store.folder(volume), taken)
    return taken


def list_of(store: VolumeStore, volume: str) -> tuple[Snapshot, ...]:
    store.record(volume)
    return records.load_snapshots(store.folder(volume))


def remove(store: VolumeStore, volume: str, name: str) -> None:
    """Delete a snapshot. A no-op when it is gone."""
    records.check_name(name, "snapshot name")
    with store.changing(volume):
        _file(store, volume, name).with_suffix(".json").unlink(missing_ok=True)
        _file(store, volume, name).unlink(missing_ok=True)


def restore(store: VolumeStore, volume: str, name: str) -> VolumeStatus:
    """Put a volume back to a snapshot, in one step. What it held since is gone. Raises VolumeBusy."""
    with store.changing(volume) as record:
        store.refuse_held(record, "put back")
        store.wait_free(record)
        source = existing(store, volume, name)
        file = store.folder(volume) / DISK
        with _draft_beside(file) as draft:
            _copy_still(source, draft)
            ext4.check(draft, record.name)
            ext4.fit(draft, record.size_bytes)
            draft.replace(file)
        store.update(record, seeded=True)
    return store.inspect(volume)


def clone(store: VolumeStore, spec: VolumeSpec) -> VolumeStatus:
    """Make a volume that starts as a copy of a snapshot, which `spec.source` names."""
    volume, _, name = spec.source.partition("/")
    known = next((one for one in store.list() if one.id == spec.id), None)
    if known is not None:
        return store.create(spec)
    source = existing(store, volume, records.check_name(name, "snapshot name"))
    snapshot = next(one for one in list_of(store, volume) if one.name == name)
    size = records.check_size(max(spec.size_bytes, snapshot.size_bytes))
    store.make_room(size)
    with store.draft(spec.id, spec.owner, spec.name) as folder:
        _copy_still(source, folder / DISK)
        ext4.check(folder / DISK, spec.name)
        ext4.fit(folder / DISK, size)
        made = new_record(spec.id, spec.owner, spec.name, size, source=spec.source, seeded=True)
        return store.adopt(folder, made)


def existing(store: VolumeStore, volume: str, name: str) -> Path:
    """Return the file of a snapshot. Raises VolumeMissing naming those that exist."""
    store.record(volume)
    if _find(store, volume, name) is None:
        names = ", ".join(one.name for one in list_of(store, volume)) or "none"
        raise VolumeMissing(f"Volume {volume} has no snapshot {name}; it has: {names}.")
    return _file(store, volume, name)


@contextlib.contextmanager
def copied(store: VolumeStore, record: VolumeRecord, folder: Path) -> Iterator[Path]:
    """A file in `folder` that is equal to the volume at one moment; gone at the end unless it was renamed."""
    folder.mkdir(mode=0o700, exist_ok=True)
    name = f"snapshot-{uuid.uuid4().hex[:8]}"
    file = store.folder(record.id) / DISK
    with _draft_beside(folder / DISK) as draft:
        if store.keep_mounted(record.id, VolumeHolder(container="", name=name, read_only=True)):
            try:
                _copy_moving(file, draft, store.target(record.id), record)
            finally:
                store.release(record.id, name)
        else:
            with store.changing(record.id):
                store.refuse_held(record, "copied")
                store.wait_free(record)
                _copy_still(file, draft)
        yield draft


@contextlib.contextmanager
def _draft_beside(file: Path) -> Iterator[Path]:
    draft = file.with_name(f".{file.stem}-{uuid.uuid4().hex[:8]}")
    try:
        yield draft
    except OSError as error:
        raise NoSpace(
            f"The copy could not be written: {error}. Free some space on the host's disk."
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _copy_still(source: Path, draft: Path) -> None:
    with _opened(source, draft) as (reading, writing, size):
        if not copying.share(reading, writing):
            copying.refresh(reading, writing, size, lambda: None)
        os.fsync(writing)


def _copy_moving(source: Path, draft: Path, target: Path, record: VolumeRecord) -> None:
    with _opened(source, draft) as (reading, writing, size):
        shares = copying.share(reading, writing)
        if not shares:
            copying.refresh(reading, writing, size, lambda: None)
            os.fsync(writing)  # later it would delay those who wait
        with freezing.frozen(target, HOLD_SECONDS):
            check = _deadline(record)
            if not (shares and copying.share(reading, writing)):
                copying.refresh(reading, writing, os.fstat(reading).st_size, check)
            check()
        os.fsync(writing)


@contextlib.contextmanager
def _opened(source: Path, draft: Path) -> Iterator[tuple[int, int, int]]:
    with source.open("rb") as reading, draft.open("x+b") as writing:
        os.fchmod(writing.fileno(), 0o600)
        yield reading.fileno(), writing.fileno(), os.fstat(reading.fileno()).st_size


def _deadline(record: VolumeRecord) -> Callable[[], None]:
    until = time.monotonic() + HOLD_SECONDS

    def check() -> None:
        if time.monotonic() > until:
            raise VolumeError(
                f"Volume {record.name} changes too fast for a copy: its writers would have had to wait for more than "
                f"{HOLD_SECONDS:g} seconds. They go on; try again, or stop them first."
            )

    return check


def _describe(record: VolumeRecord, name: str, file: Path) -> Snapshot:
    return Snapshot(
        name=name,
        volume=record.id,
        created_at=time.time(),
        size_bytes=record.size_bytes,
        disk_bytes=file.stat().st_blocks * 512,
    )


def _find(store: VolumeStore, volume: str, name: str) -> Snapshot | None:
    found = records.load_snapshots(store.folder(volume))
    return next((one for one in found if one.name == name), None)


def _file(store: VolumeStore, volume: str, name: str) -> Path:
    return store.folder(volume) / "snapshots" / f"{name}.ext4"
