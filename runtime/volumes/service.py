"""The volumes of a host, for the agent's threads: see `runtime.volumes.port.VolumeKeeper`.

In: calls from anywhere.  Out: the same, carried out inside the private mount namespace.

A lock of a volume is only ever held by a thread that is inside already, so that nobody who holds one waits for such a
thread.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from runtime.model import Snapshot, VolumeSpec, VolumeStatus
from runtime.volumes import ext4, snapshots, stream
from runtime.volumes.errors import NoSpace
from runtime.volumes.records import DISK
from runtime.volumes.store import VolumeStore, new_record


class VolumeService:
    """`inside` runs a function in the mount namespace, at once when the caller is there."""

    def __init__(self, store: VolumeStore, inside: Callable[..., Any]) -> None:
        self._store, self._inside = store, inside

    def list(self) -> tuple[VolumeStatus, ...]:
        return self._inside(self._store.list)  # type: ignore[no-any-return]

    def inspect(self, volume: str) -> VolumeStatus:
        return self._inside(self._store.inspect, volume)  # type: ignore[no-any-return]

    def create(self, spec: VolumeSpec) -> VolumeStatus:
        if spec.source:
            return self._inside(snapshots.clone, self._store, spec)  # type: ignore[no-any-return]
        return self._inside(self._store.create, spec)  # type: ignore[no-any-return]

    def grow(self, volume: str, size: int) -> VolumeStatus:
        return self._inside(self._store.grow, volume, size)  # type: ignore[no-any-return]

    def remove(self, volume: str) -> None:
        self._inside(self._store.remove, volume)

    def retain(self, volume: str) -> VolumeStatus:
        return self._inside(self._store.retain, volume)  # type: ignore[no-any-return]

    def give(self, volume: str, owner: str, name: str) -> VolumeStatus:
        return self._inside(self._store.give, volume, owner, name)  # type: ignore[no-any-return]

    def snapshots(self, volume: str) -> tuple[Snapshot, ...]:
        return snapshots.list_of(self._store, volume)

    def snapshot(self, volume: str, name: str) -> Snapshot:
        return self._inside(snapshots.take, self._store, volume, name)  # type: ignore[no-any-return]

    def remove_snapshot(self, volume: str, name: str) -> None:
        self._inside(snapshots.remove, self._store, volume, name)

    def restore(self, volume: str, name: str) -> VolumeStatus:
        return self._inside(snapshots.restore, self._store, volume, name)  # type: ignore[no-any-return]

    def look_after(self) -> tuple[str, ...]:
        return self._inside(self._store.look_after)  # type: ignore[no-any-return]

    def export(self, volume: str, snapshot: str) -> Iterator[bytes]:
        """Yield a volume, as it is now or as a snapshot has it. What is read has no name: nothing can be left."""
        record = self._store.record(volume)
        file, descriptor_of = self._inside(self._still_copy, volume, snapshot)
        with descriptor_of as kept:
            heading = stream.Heading(
                format=1,
                name=record.name,
                size_bytes=record.size_bytes,
                length=file.stat().st_size,
                created_at=record.created_at,
            )
            assert kept
            yield from stream.write(file, heading)

    def receive(self, volume: str, owner: str, name: str) -> Import:
        return Import(self._store, self._inside, volume, owner, name)

    def _still_copy(self, volume: str, snapshot: str) -> tuple[Path, contextlib.AbstractContextManager[Any]]:
        if snapshot:
            opened = snapshots.existing(self._store, volume, snapshot).open("rb")
        else:
            record = self._store.record(volume)
            with snapshots.copied(self._store, record, self._store.folder(volume) / "snapshots") as draft:
                opened = draft.open("rb")
        return Path(f"/proc/self/fd/{opened.fileno()}"), opened


class Import:
    """A backup on its way in: see `runtime.volumes.port.Sink`."""

    def __init__(
        self, store: VolumeStore, inside: Callable[..., Any], volume: str, owner: str, name: str
    ) -> None:
        self._store, self._inside = store, inside
        self._id, self._owner, self._name = volume, owner, name
        self._undo = contextlib.ExitStack()
        self._folder = self._undo.enter_context(store.draft(volume, owner, name))
        self._reader = stream.Reader(self._folder / DISK)
        self._undo.callback(self._reader.close)

    def write(self, data: bytes) -> None:
        try:
            known = self._reader.heading
            self._reader.feed(data)
            if known is None and self._reader.heading is not None:
                self._inside(self._store.make_room, self._reader.heading.size_bytes)
        except OSError as error:
            raise NoSpace(f"The backup could not be stored: {error}.") from error

    def finish(self) -> VolumeStatus:
        with self._undo:
            heading = self._reader.finish()
            return self._inside(self._adopt, heading)  # type: ignore[no-any-return]

    def drop(self) -> None:
        self._undo.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _adopt(self, heading: stream.Heading) -> VolumeStatus:
        ext4.check(self._folder / DISK, self._name)
        ext4.fit(self._folder / DISK, heading.size_bytes)
        made = new_record(self._id, self._owner, self._name, heading.size_bytes, seeded=True)
        return self._store.adopt(self._folder, made)
