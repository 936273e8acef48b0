"""What must survive a crash of the agent, on disk.

In: wanted state, job records, instance records.  Out: the same after a restart. Files are 0600 (env holds secrets).
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TypeVar

from runtime.agent.garbage import Uses
from runtime.agent.local import Local
from runtime.model import InstanceStatus, JobSpec, JobStatus, Struct, WantedState, decode, encode

T = TypeVar("T", bound=Struct)
log = logging.getLogger(__name__)


class InstanceRecord(Struct):
    """An instance as last seen. `failures` in a row; `stopped_at_generation` once it is STOPPED."""

    status: InstanceStatus
    owner: str
    name: str
    failures: int = 0
    stopped_at_generation: int | None = None


class InstanceRecords(Struct):
    instances: tuple[InstanceRecord, ...] = ()


class JobRecord(Struct):
    """A job with how far it got. `cancelled`: its end was asked for. `final`: how it ended, its remains still there."""

    spec: JobSpec
    status: JobStatus
    started_at: float | None = None
    cancelled: bool = False
    final: JobStatus | None = None


class Store:
    """The files under the agent's state folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.inputs = root / "inputs"
        self.temporary = root / "tmp"
        self._jobs = root / "jobs"

    def open(self) -> None:
        """Make the folders (0700) and drop half-written files of an earlier life."""
        for folder in (self.root, self.inputs, self.temporary, self._jobs):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        for leftover in (*self.temporary.iterdir(), *self.root.glob(".*.new"), *self._jobs.glob(".*.new")):
            leftover.unlink()

    def load_wanted(self) -> WantedState:
        return _load(self.root / "wanted.json", WantedState) or WantedState(generation=0)

    def save_wanted(self, wanted: WantedState) -> None:
        write_atomic(self.root / "wanted.json", encode(wanted), sync=True)

    def load_local(self) -> Local:
        return _load(self.root / "local.json", Local) or Local()

    def save_local(self, local: Local) -> None:
        write_atomic(self.root / "local.json", encode(local), sync=True)

    def load_instances(self) -> tuple[InstanceRecord, ...]:
        records = _load(self.root / "instances.json", InstanceRecords)
        return records.instances if records else ()

    def save_instances(self, records: tuple[InstanceRecord, ...]) -> None:
        # Not synced: a power cut also ends the containers these records are about.
        write_atomic(self.root / "instances.json", encode(InstanceRecords(instances=records)), sync=False)

    def load_uses(self) -> Uses:
        return _load(self.root / "uses.json", Uses) or Uses()

    def save_uses(self, uses: Uses) -> None:
        write_atomic(self.root / "uses.json", encode(uses), sync=False)

    def load_jobs(self) -> tuple[JobRecord, ...]:
        records = (_load(path, JobRecord) for path in sorted(self._jobs.glob("*.json")))
        return tuple(record for record in records if record)

    def save_job(self, record: JobRecord, *, sync: bool = False) -> None:
        """`sync` for a job just taken on; how far it got is worth nothing after a power cut."""
        write_atomic(self._jobs / f"{record.spec.container.id}.json", encode(record), sync=sync)

    def forget_job(self, job: str) -> None:
        (self._jobs / f"{job}.json").unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes, *, sync: bool) -> None:
    """Replace `path` by a 0600 file with `data`; a reader sees the old or the new content, never half of it."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if sync:
            os.fsync(file.fileno())
    temporary.replace(path)
    if sync:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _load(path: Path, type_: type[T]) -> T | None:
    """Read one record; a file that cannot be read is set aside, so that it never stops the agent."""
    try:
        return decode(path.read_bytes(), type_)
    except FileNotFoundError:
        return None
    except ValueError as error:
        log.error("%s cannot be read (%s); it is kept as %s.bad and ignored", path, error, path.name)
        path.replace(path.with_name(f"{path.name}.bad"))
        return None
