"""What an engine knows of its containers: their records, who works on which right now, and how each ended.

In: a configuration; changes, one at a time per container.  Out: records, in memory and on disk.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator

import msgspec

from runtime.container import exits, files, process, runtimes, storage
from runtime.container.config import EngineConfig
from runtime.container.layout import Layout
from runtime.container.namespace import MountNamespace
from runtime.container.parts import Parts
from runtime.container.port import EngineError, Observed
from runtime.container.storage import Record
from runtime.model import ExitInfo

KILL_TAKES = 10.0  # seconds


class Ledger:
    """The ground of `CrunEngine`, on which each of its subjects stands."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._layout = Layout(config.home.absolute(), config.tag)
        self._mounts = MountNamespace(self._layout.home / "ns", self._layout.run)
        self._opened: Parts | None = None
        self._records: dict[str, Record] = {}
        self._lock = threading.Lock()
        self._locks: dict[str, tuple[threading.RLock, int]] = {}
        self._unconfined: frozenset[str] = frozenset()  # owners whose egress rules this network does not keep
        self._making: Counter[str] = Counter()  # owners of containers that are being made

    def wait(self, container: str, timeout: float) -> ExitInfo | None:
        record = self._existing(container)
        if record.exit is not None:
            return record.exit
        if record.boot_id == self._parts.boot_id and not process.wait_gone(
            record.conmon_pid, record.conmon_started, timeout
        ):
            return None
        return self._settle(container)

    def list(self) -> tuple[Observed, ...]:
        seen = (self._observe(container) for container in tuple(self._records))
        return tuple(observed for observed in seen if observed is not None)

    @property
    def _parts(self) -> Parts:
        if self._opened is None:
            raise EngineError("The engine is not open.")
        return self._opened

    @contextlib.contextmanager
    def _locked(self, container: str) -> Iterator[None]:
        """One change of a container at a time; the lock lives while somebody wants it."""
        with self._lock:
            lock, users = self._locks.get(container, (threading.RLock(), 0))
            self._locks[container] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, users = self._locks[container]
                if users > 1:
                    self._locks[container] = (lock, users - 1)
                else:
                    del self._locks[container]

    @contextlib.contextmanager
    def _owner_busy(self, owner: str) -> Iterator[None]:
        """While a container is made, its owner keeps the range it has."""
        with self._lock:
            self._making[owner] += 1
        try:
            yield
        finally:
            with self._lock:
                self._making[owner] -= 1
                if not self._making[owner]:
                    del self._making[owner]

    def _maker(self, container: str) -> runtimes.Runtime:
        return self._mounts.call(runtimes.maker_of, self._layout, container, self._parts.runtime)

    def _existing(self, container: str) -> Record:
        try:
            return self._records[container]
        except KeyError as error:
            raise EngineError(f"Container {container} does not exist on this host.") from error

    def _running(self, container: str) -> Record:
        record = self._existing(container)
        if record.started_at is None or self.wait(container, 0) is not None:
            raise EngineError(f"Container {container} does not run.")
        return record

    def _update(self, record: Record, **changes: object) -> Record:
        changed = msgspec.structs.replace(record, **changes)
        try:
            storage.save(self._layout.record(record.id), changed)
        except OSError as error:
            raise EngineError(f"The state of {record.id} could not be written: {error}.") from error
        self._records[record.id] = changed
        return changed

    def _observe(self, container: str) -> Observed | None:
        with contextlib.suppress(EngineError):
            self.wait(container, 0)
        record = self._records.get(container)
        if record is None:  # deleted meanwhile
            return None
        running = record.exit is None
        return Observed(
            id=record.id,
            owner=record.owner,
            name=record.name,
            running=running,
            pid=record.pid if running else 0,
            address=record.address,
            exit=record.exit,
            started_at=record.started_at,
        )

    def _settle(self, container: str) -> ExitInfo | None:
        """Record how a container ended, once its supervisor is gone; None while it is there."""
        with self._locked(container):
            record = self._existing(container)
            if record.exit is not None:
                return record.exit
            same_boot = record.boot_id == self._parts.boot_id
            if same_boot and not process.wait_gone(record.conmon_pid, record.conmon_started, 0):
                return None
            process.reap(record.conmon_pid)
            return self._update(record, exit=self._read_exit(record, same_boot)).exit

    def _read_exit(self, record: Record, same_boot: bool) -> ExitInfo:
        file = self._layout.exits / record.id
        try:
            code, at = int(file.read_text()), file.stat().st_mtime
        except (OSError, ValueError):
            if same_boot:
                process.end(record.pid, record.pid_started, KILL_TAKES)
            return exits.lost(time.time())
        if code == exits.INIT_FAILED:
            code = exits.exec_failure(files.tail(self._layout.log(record.id))) or code
        kills = self._parts.cgroups.oom_kills(self._layout.cgroup_of(record.id))
        return exits.classify(code, kills, record.memory_limit_bytes, at)
