"""The part of the agent's client that is about volumes.

In: ids and values.  Out: values of `runtime.model`; failures as in `runtime.client`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol
from urllib.parse import quote, urlencode

from runtime.model import (
    Snapshot,
    SnapshotList,
    Struct,
    VolumeChange,
    VolumeList,
    VolumeSpec,
    VolumeStatus,
    decode,
)

COPY_SECONDS = 1800.0


class Caller(Protocol):
    """What `AgentClient` lends to this part of it."""

    def _ask(
        self,
        method: str,
        path: str,
        body: Struct | None = None,
        *,
        data: bytes | Iterable[bytes] | None = None,
        timeout: float | None = None,
    ) -> bytes: ...

    def _stream(self, path: str, timeout: float) -> Iterator[bytes]: ...


class VolumeCalls:
    """Mixed into `AgentClient`. What copies a volume may take as long as its data is large."""

    def volumes(self: Caller) -> tuple[VolumeStatus, ...]:
        return decode(self._ask("GET", "/v1/volumes"), VolumeList).volumes

    def volume(self: Caller, id: str) -> VolumeStatus:
        return decode(self._ask("GET", _path(id)), VolumeStatus)

    def create_volume(self: Caller, spec: VolumeSpec) -> VolumeStatus:
        """Make a volume; the same again is a no-op. AgentRefused 409 `volume_exists`, 507 `no_space`."""
        return decode(self._ask("PUT", _path(spec.id), spec, timeout=COPY_SECONDS), VolumeStatus)

    def grow_volume(self: Caller, id: str, size_bytes: int) -> VolumeStatus:
        body = VolumeChange(size_bytes=size_bytes)
        return decode(self._ask("POST", _path(id, "grow"), body, timeout=COPY_SECONDS), VolumeStatus)

    def remove_volume(self: Caller, id: str) -> VolumeStatus:
        """Delete it for good. AgentRefused 409 `volume_in_use` names who uses it, 404 `no_such_volume`."""
        return decode(self._ask("DELETE", _path(id), timeout=COPY_SECONDS), VolumeStatus)

    def retain_volume(self: Caller, id: str) -> VolumeStatus:
        return decode(self._ask("POST", _path(id, "retain")), VolumeStatus)

    def give_volume(self: Caller, id: str, owner: str, name: str) -> VolumeStatus:
        body = VolumeChange(owner=owner, name=name)
        return decode(self._ask("POST", _path(id, "give"), body), VolumeStatus)

    def volume_snapshots(self: Caller, id: str) -> tuple[Snapshot, ...]:
        return decode(self._ask("GET", _path(id, "snapshots")), SnapshotList).snapshots

    def snapshot_volume(self: Caller, id: str, name: str) -> Snapshot:
        body = VolumeChange(snapshot=name)
        return decode(self._ask("POST", _path(id, "snapshots"), body, timeout=COPY_SECONDS), Snapshot)

    def remove_snapshot(self: Caller, id: str, name: str) -> VolumeStatus:
        return decode(self._ask("DELETE", _path(id, "snapshots", name)), VolumeStatus)

    def restore_volume(self: Caller, id: str, snapshot: str) -> VolumeStatus:
        body = VolumeChange(snapshot=snapshot)
        return decode(self._ask("POST", _path(id, "restore"), body, timeout=COPY_SECONDS), VolumeStatus)

    def export_volume(self: Caller, id: str, snapshot: str = "") -> Iterator[bytes]:
        """Yield a backup. It is whole only if `import_volume` takes it: a broken one has no digest at its end."""
        return self._stream(f"{_path(id, 'content')}?{urlencode({'snapshot': snapshot})}", COPY_SECONDS)

    def import_volume(self: Caller, id: str, owner: str, name: str, pieces: Iterable[bytes]) -> VolumeStatus:
        """Make a volume from a backup. AgentRefused 400 when it is not whole; then nothing is made."""
        path = f"{_path(id, 'content')}?{urlencode({'owner': owner, 'name': name})}"
        return decode(self._ask("PUT", path, data=pieces, timeout=COPY_SECONDS), VolumeStatus)


def _path(*words: str) -> str:
    return "/".join(("/v1/volumes", *(quote(word, safe="") for word in words)))
