"""Containers by conmon and an OCI runtime (crun): the implementation of the port `Engine`.

In: an `EngineConfig` and the port's calls.  Out: processes that outlive this one, and records on disk from which
the next engine of the same home takes over.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from signal import SIGKILL, SIGSTOP, SIGTERM

from runtime.container import (
    adapting,
    apparmor,
    conmon,
    execs,
    exits,
    hooks,
    knowledge,
    making,
    membership,
    process,
    profiles,
    storage,
    ulimits,
)
from runtime.container.keeping import Keeping
from runtime.container.ledger import KILL_TAKES
from runtime.container.networking import NO_EGRESS, Networking
from runtime.container.opening import open_parts, remove_leftovers
from runtime.container.parts import Request
from runtime.container.port import (
    Asked,
    Bind,
    Created,
    EngineError,
    VolumeBind,
)
from runtime.container.requests import check_request
from runtime.container.storage import Record
from runtime.container.unmaking import has_hooks, kill_group, unmake
from runtime.container.visiting import Visiting
from runtime.doctor.doctor import examine
from runtime.doctor.place import Known
from runtime.model import (
    ContainerSpec,
    DoctorReport,
    ExitReason,
    Limits,
    NetworkMode,
    Offer,
)
from runtime.network import rules
from runtime.network.pool import Pool

_REMOVERS = 4
_INIT_TAKES = 2.0  # seconds
_INTERFACES_GONE = 3.0  # seconds


class CrunEngine(Keeping, Networking, Visiting):
    """See `runtime.container.port.Engine`; docstrings there are the contract."""

    def open(self) -> None:
        if self._opened is not None:
            return
        try:
            parts, records = open_parts(self._config, self._layout, self._mounts)
        except BaseException:
            self._mounts.close(remove=False)
            raise
        self._opened = parts
        self._records = {record.id: record for record in records}
        self._mounts.call(remove_leftovers, parts, records)
        for record in records:
            members = parts.cgroups.processes(self._layout.cgroup_of(record.id))
            self._mounts.call(execs.end_leftovers, self._layout.bundle(record.id), members)
            self._settle(record.id)

    def close(self, *, remove: bool) -> None:
        if self._opened is None:
            return
        parts = self._opened
        if remove:
            with ThreadPoolExecutor(_REMOVERS) as workers:
                tuple(workers.map(self.delete, tuple(self._records)))
        parts.pool.close()
        if remove:
            parts.wiring.remove()
            parts.confinement.remove()
            parts.firewall.run(rules.render_removal(parts.names))
            self._mounts.call(parts.images.unmount_all)
            kill_group(parts.cgroups, self._layout.cgroup)
            apparmor.unload(self._config.tag)
        parts.firewall.close()
        parts.grace.close()
        parts.sealed.close()
        parts.namespaces.close()
        self._mounts.close(remove=remove)
        if remove and not parts.pool.wait_gone(_INTERFACES_GONE) and isinstance(parts.pool, Pool):
            parts.pool.cut()
        self._opened = None
        self._records = {}

    def offer(self) -> Offer:
        parts = self._parts
        return Offer(runtimes=parts.runtimes.offered(), seccomp=profiles.names(parts.seccomp_dir))

    def examine(self, asked: Asked, *, repair: bool) -> DoctorReport:
        place = knowledge.place_of(self._parts, self._config.subnet, self._mounts.call)

        def know() -> Known:
            with self._lock:
                busy, records = tuple(self._locks), tuple(self._records.values())
            return knowledge.known(self._parts, records, busy, asked)

        return examine(place, know, repair=repair)

    def create(
        self,
        spec: ContainerSpec,
        *,
        binds: tuple[Bind, ...] = (),
        scratch_bytes: int = 0,
        volumes: tuple[VolumeBind, ...] = (),
    ) -> Created:
        request = Request(spec, binds, scratch_bytes, volumes)
        check_request(request)
        if spec.owner in self._unconfined and spec.network is not NetworkMode.NONE:
            raise EngineError(f"{NO_EGRESS} The app has some; run it on another host.")
        with self._locked(storage.check_id(spec.id)), self._owner_busy(spec.owner):
            record = self._records.get(spec.id)
            if record is None:
                self._check_address(spec.address)
                record = self._mounts.call(making.make, self._parts, request)
                with self._lock:
                    self._records[spec.id] = record
        notes = (*record.notes, *ulimits.notes(spec, ulimits.own_ceilings()), *adapting.notes(spec))
        return Created(id=record.id, pid=record.pid, address=record.address, notes=notes)

    def start(self, container: str) -> None:
        with self._locked(container):
            record = self._existing(container)
            if record.started_at is not None or record.exit is not None:
                return
            failure = self._mounts.call(self._run_start, container)
            if failure and self._had_started(record):
                return
            if failure:
                process.send(record.pid, record.pid_started, SIGKILL)
                self._update(record, exit=exits.not_started(failure, time.time()))
                raise EngineError(f"The container could not be started: {failure}")
            late, bundle = self._layout.late_hooks_of(container), self._layout.bundle(container)
            self._mounts.call(hooks.run_started, late, bundle, container, record.pid)
            self._update(record, started_at=time.time())

    def kill(self, container: str, signal: int) -> None:
        with self._locked(container):
            record = self._records.get(container)
            if record is None or record.exit is not None:
                return
            # Before start there is only the runtime's own process, which ignores anything milder.
            wanted = record.stop_signal if signal == SIGTERM else signal
            number = wanted if record.started_at is not None else SIGKILL
            if record.boot_id == self._parts.boot_id:
                if number not in (SIGKILL, SIGSTOP):
                    process.wait_catching(record.pid, number, _INIT_TAKES)
                process.send(record.pid, record.pid_started, number)

    def update(self, container: str, limits: Limits) -> None:
        with self._locked(container):
            record = self._existing(container)
            if self.wait(container, 0) is not None:
                raise EngineError(f"Container {container} does not run.")
            try:
                self._parts.cgroups.limit(self._layout.cgroup_of(container), limits)
            except OSError as error:
                raise EngineError(f"The limits of {container} could not be changed: {error}.") from error
            self._update(record, memory_limit_bytes=limits.memory_bytes)

    def weigh(self, container: str, shares: int) -> None:
        self._parts.cgroups.reweigh(self._layout.cgroup_of(container), shares)

    def hold_back(self, container: str, cores: float | None) -> None:
        self._parts.cgroups.confine(self._layout.cgroup_of(container), cores)

    def delete(self, container: str) -> None:
        with self._locked(container):
            record = self._records.get(container)
            if record is not None:
                self._mounts.call(self._remove, record)
                with self._lock:
                    del self._records[container]

    def _had_started(self, record: Record) -> bool:
        """An agent that was killed after `start` may have written nothing down, and the run be over since.

        The runtime keeps a fifo for a container that waits for `start`. When it is gone, the run was a real one, and
        how it ended is for its supervisor to say.
        """
        fifo = Path(self._maker(record.id).state, record.id, "exec.fifo")
        if self._mounts.call(fifo.exists):
            return False
        process.wait_gone(record.conmon_pid, record.conmon_started, KILL_TAKES)
        ended = self._settle(record.id)
        return ended is not None and ended.reason is not ExitReason.LOST

    def _run_start(self, container: str) -> str:
        """Run `start` of the runtime; return why it failed, '' when it runs (perhaps since before a crash)."""
        maker = self._maker(container)
        state, runtime = maker.state, maker.path
        if not has_hooks(self._layout.bundle(container)) and conmon.let_go(runtime, state, container):
            return ""
        done = conmon.run_runtime(runtime, state, "start", container)
        if done.returncode == 0:
            return ""
        if '"status": "running"' in conmon.run_runtime(runtime, state, "state", container).stdout:
            return ""
        return " ".join(done.stderr.split()) or f"{runtime} start ended with {done.returncode}"

    def _remove(self, record: Record) -> None:
        parts = self._parts
        later: Callable[[], None] | None = None
        with contextlib.ExitStack() as beside:
            if record.slot >= 0 and record.boot_id == parts.boot_id:  # else its number is another's by now
                slot = parts.pool.slot(record.slot, record.address)
                leave = partial(membership.leave_network, parts, membership.member_of(parts, record), slot)
                if record.exit is not None and parts.pool.guarded:
                    beside.enter_context(self._mounts.beside(leave))
                else:  # its address is another's only when nothing of it runs any more
                    later = leave
            unmake(parts, record.id, record)
        if later is not None:
            later()
        for key in record.volumes:
            parts.volumes.release(key)
        for key in record.data:
            parts.data.release(key.rpartition(":")[0], record.id)
