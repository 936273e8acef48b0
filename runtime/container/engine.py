"""Containers by conmon and an OCI runtime (crun): the implementation of the port `Engine`.

In: an `EngineConfig` and the port's calls.  Out: processes that outlive this one, and records on disk from which
the next engine of the same home takes over.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from signal import SIGKILL, SIGSTOP, SIGTERM

import msgspec

from runtime.container import (
    adapting,
    apparmor,
    conmon,
    copies,
    execs,
    exits,
    files,
    hooks,
    knowledge,
    making,
    process,
    profiles,
    runtimes,
    stock,
    storage,
    ulimits,
)
from runtime.container.config import EngineConfig
from runtime.container.layout import Layout
from runtime.container.making import Parts, Request
from runtime.container.namespace import MountNamespace
from runtime.container.opening import open_parts, remove_leftovers
from runtime.container.port import (
    Asked,
    Asking,
    Attempt,
    Bind,
    Created,
    EngineError,
    Observed,
    StoredImage,
    StoredVolume,
    Strain,
    Usage,
    VolumeBind,
)
from runtime.container.storage import Record
from runtime.container.strains import Strains, look_at
from runtime.doctor.doctor import examine
from runtime.doctor.place import Known
from runtime.model import (
    ContainerSpec,
    CopySpec,
    DoctorReport,
    Egress,
    ExecSpec,
    ExitInfo,
    ExitReason,
    HostNetwork,
    ImageRef,
    Limits,
    Member,
    Network,
    NetworkMode,
    Offer,
    Peer,
)
from runtime.network import rules
from runtime.network.pool import Pool
from runtime.volumes.service import VolumeService

_NO_EGRESS = "Containers of this host are on a CNI network, which keeps no egress rules."
_REMOVERS = 4
_INIT_TAKES = 2.0  # seconds
_KILL_TAKES = 10.0  # seconds
_INTERFACES_GONE = 3.0  # seconds


class CrunEngine:
    """See `runtime.container.port.Engine`; docstrings there are the contract."""

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
        self._strains = Strains()

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
            execs.end_leftovers(self._layout.bundle(record.id), members)
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
            making.kill_group(parts.cgroups, self._layout.cgroup)
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

    def missing_images(self, refs: tuple[ImageRef, ...]) -> tuple[ImageRef, ...]:
        return self._parts.images.missing(refs)

    def add_image(self, ref: ImageRef, file: Path) -> None:
        self._parts.images.add(ref, file)

    def image_file(self, ref: ImageRef) -> Path:
        path = self._parts.images.path(ref)
        if not path.exists():
            raise EngineError(f"Image {ref.digest} is not on this host.")
        return path

    def images(self) -> tuple[ImageRef, ...]:
        """Return every image on this host."""
        return self._parts.images.list()

    def remove_image(self, ref: ImageRef) -> None:
        """Delete an image. Containers that run from it are not disturbed."""
        self._mounts.call(self._parts.images.remove, ref)
        with (
            self._lock
        ):  # a copy, unlike a mounted file, would vanish under those who use it; the next start sweeps
            used = self._making or any(ref.digest in one.images for one in self._records.values())
            doomed = () if used else self._parts.lowers.put_aside(ref)
        for copy in doomed:
            shutil.rmtree(copy, ignore_errors=True)

    def stored_images(self) -> tuple[StoredImage, ...]:
        return stock.images(self._parts, tuple(self._records.values()))

    def stored_volumes(self) -> tuple[StoredVolume, ...]:
        return stock.volumes(self._parts)

    def remove_volume(self, owner: str, name: str) -> bool:
        return stock.remove_volume(self._parts, owner, name)

    def keeper(self) -> VolumeService:
        return VolumeService(self._parts.data, self._mounts.call)

    def owners(self) -> tuple[str, ...]:
        return tuple(self._parts.owners.all())

    def forget_owner(self, owner: str) -> bool:
        with self._lock:  # `create` counts its owner in under the same lock, before it asks for the range
            busy = self._making[owner] or any(record.owner == owner for record in self._records.values())
            if busy:
                return False
            self._parts.wiring.expel(owner)
            return stock.forget_owner(self._parts, owner)

    def connect(
        self,
        peers: tuple[Peer, ...],
        members: tuple[Member, ...],
        network: int,
        networks: tuple[Network, ...] = (),
    ) -> None:
        if self._parts.pool.guarded:
            self._parts.wiring.apply(peers, members, network, networks)
        elif peers:
            raise EngineError(f"{self._unjoined()} {len(peers)} hosts are not reached.")
        elif networks:
            names = ", ".join(one.name for one in networks)
            raise EngineError(f"{self._unjoined()} Its apps are not in {names}.")

    def network(self) -> HostNetwork:
        return (
            self._parts.wiring.status() if self._parts.pool.guarded else HostNetwork(problem=self._unjoined())
        )

    def _unjoined(self) -> str:
        return f"Containers are on the CNI network {self._config.cni}, which joins no hosts."

    def offer(self) -> Offer:
        parts = self._parts
        return Offer(runtimes=parts.runtimes.offered(), seccomp=profiles.names(parts.seccomp_dir))

    def serve_names(self, port: int) -> None:
        if self._parts.pool.guarded:
            self._parts.firewall.run(rules.render_names(self._parts.names, port))

    def owner_at(self, address: str) -> str | None:
        seen = tuple(self._records.values())
        return next((one.owner if one.peers else "" for one in seen if one.address == address), None)

    def confine(self, apps: Mapping[str, Egress], builds: Mapping[str, Egress]) -> None:
        if self._parts.pool.guarded:
            self._parts.confinement.apply(apps, builds)
            return
        self._unconfined = frozenset({*apps, *builds})
        if self._unconfined:
            raise EngineError(
                f"{_NO_EGRESS} {len(self._unconfined)} apps that have some are not started here."
            )

    def asks(self, address: str, name: str) -> Asking:
        return self._parts.confinement.asks(address, name)

    def answered(self, address: str, name: str, addresses: tuple[str, ...], ttl: int) -> None:
        self._parts.confinement.answered(address, name, addresses, ttl)

    def refused(self) -> tuple[Attempt, ...]:
        return self._parts.confinement.refused() if self._parts.pool.guarded else ()

    def examine(self, asked: Asked, *, repair: bool) -> DoctorReport:
        place = knowledge.place_of(self._parts, self._config.subnet, self._mounts.call)

        def know() -> Known:
            with self._lock:
                busy, records = tuple(self._locks), tuple(self._records.values())
            return knowledge.known(self._parts, records, busy, asked)

        return examine(place, know, repair=repair)

    def remove_volumes(self, owner: str) -> None:
        """Delete the volumes of an app that is gone."""
        self._parts.volumes.remove_owner(self._parts.owners.range_start(owner))

    def create(
        self,
        spec: ContainerSpec,
        *,
        binds: tuple[Bind, ...] = (),
        scratch_bytes: int = 0,
        volumes: tuple[VolumeBind, ...] = (),
    ) -> Created:
        request = Request(spec, binds, scratch_bytes, volumes)
        making.check_request(request)
        if spec.owner in self._unconfined and spec.network is not NetworkMode.NONE:
            raise EngineError(f"{_NO_EGRESS} The app has some; run it on another host.")
        with self._locked(storage.check_id(spec.id)), self._owner_busy(spec.owner):
            record = self._records.get(spec.id)
            if record is None:
                self._check_address(spec.address)
                record = self._mounts.call(making.make, self._parts, request)
                with self._lock:
                    self._records[spec.id] = record
        notes = (*record.notes, *ulimits.notes(spec, ulimits.own_ceilings()), *adapting.notes(spec))
        return Created(id=record.id, pid=record.pid, address=record.address, notes=notes)

    def _check_address(self, address: str) -> None:
        holder = next(
            (one for one in tuple(self._records.values()) if address and one.address == address), None
        )
        if holder is not None:
            raise EngineError(
                f"{address} is the address of {holder.name} of {holder.owner} (container {holder.id}); "
                "ask for another one, or for none."
            )

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
            self._mounts.call(hooks.run_started, self._layout.bundle(container), container, record.pid)
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

    def wait(self, container: str, timeout: float) -> ExitInfo | None:
        record = self._existing(container)
        if record.exit is not None:
            return record.exit
        if record.boot_id == self._parts.boot_id and not process.wait_gone(
            record.conmon_pid, record.conmon_started, timeout
        ):
            return None
        return self._settle(container)

    def delete(self, container: str) -> None:
        with self._locked(container):
            record = self._records.get(container)
            if record is not None:
                self._mounts.call(self._remove, record)
                with self._lock:
                    del self._records[container]

    def list(self) -> tuple[Observed, ...]:
        seen = (self._observe(container) for container in tuple(self._records))
        return tuple(observed for observed in seen if observed is not None)

    def log_path(self, container: str) -> Path:
        return self._layout.log(storage.check_id(container))

    def reopen_log(self, container: str) -> None:
        conmon.reopen_log(self._layout.bundle(storage.check_id(container)))

    def read_file(self, container: str, path: str, limit: int) -> bytes:
        record = self._existing(container)
        root, inner = files.locate(str(self._layout.work(container) / "rootfs"), record.paths, path)
        return self._mounts.call(files.read, root, inner, limit)

    def export(
        self,
        container: str,
        directory: str,
        target: Path,
        *,
        keep_times: bool = False,
        without: tuple[str, ...] = (),
    ) -> ImageRef:
        if self.wait(container, 0) is None:
            raise EngineError(f"Container {container} still runs; it can be packed when it has ended.")
        return self._mounts.call(self._export, container, directory, target, keep_times, without)

    def attach(self, container: str) -> socket.socket:
        self._existing(container)
        try:
            return conmon.connect(self._layout.bundle(container))
        except OSError as error:
            raise EngineError(f"Container {container} does not run.") from error

    def resize(self, container: str, rows: int, columns: int) -> None:
        if self._existing(container).exit is None:
            conmon.resize(self._layout.bundle(container), rows, columns)

    def execute(self, container: str, spec: ExecSpec) -> execs.RuntimeExecution:
        self._running(container)
        layout, maker = self._layout, self._maker(container)
        place, group = layout.run / "exec", layout.cgroup_of(container)
        return self._mounts.call(
            lambda: execs.start(
                self._parts.sealed.of(maker.path),
                maker.state,
                layout.bundle(container),
                container,
                spec,
                place,
                group,
            )
        )

    def copy(self, container: str, spec: CopySpec) -> copies.Copy:
        record = self._running(container)
        return copies.start(
            record, spec, copies.doors_of(self._parts.cgroups.groups(self._layout.cgroup_of(container)))
        )

    def dial(self, container: str, port: int) -> socket.socket:
        return copies.dial(self._running(container), port)

    def usage(self, container: str) -> Usage | None:
        record = self._records.get(container)
        return None if record is None else self._mounts.call(stock.usage, self._parts, record)

    def strain(self, container: str) -> Strain | None:
        record = self._records.get(container)
        return None if record is None else self._mounts.call(look_at, self._parts, record)

    def strains(self) -> tuple[Strain, ...]:
        running = tuple(one for one in tuple(self._records.values()) if one.exit is None and one.started_at)
        return self._mounts.call(self._strains.look, self._parts, running)

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
        return runtimes.maker_of(self._layout, container, self._parts.runtime)

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
            storage.save(self._layout.bundle(record.id), changed)
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
                process.end(record.pid, record.pid_started, _KILL_TAKES)
            return exits.lost(time.time())
        if code == exits.INIT_FAILED:
            code = exits.exec_failure(files.tail(self._layout.log(record.id))) or code
        kills = self._parts.cgroups.oom_kills(self._layout.cgroup_of(record.id))
        return exits.classify(code, kills, record.memory_limit_bytes, at)

    def _had_started(self, record: Record) -> bool:
        """An agent that was killed after `start` may have written nothing down, and the run be over since.

        The runtime keeps a fifo for a container that waits for `start`. When it is gone, the run was a real one, and
        how it ended is for its supervisor to say.
        """
        fifo = Path(self._maker(record.id).state, record.id, "exec.fifo")
        if self._mounts.call(fifo.exists):
            return False
        process.wait_gone(record.conmon_pid, record.conmon_started, _KILL_TAKES)
        ended = self._settle(record.id)
        return ended is not None and ended.reason is not ExitReason.LOST

    def _run_start(self, container: str) -> str:
        """Run `start` of the runtime; return why it failed, '' when it runs (perhaps since before a crash)."""
        maker = self._maker(container)
        state, runtime = maker.state, maker.path
        if not making.has_hooks(self._layout.bundle(container)) and conmon.let_go(runtime, state, container):
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
                leave = partial(making.leave_network, parts, making.member_of(parts, record), slot)
                if record.exit is not None and parts.pool.guarded:
                    beside.enter_context(self._mounts.beside(leave))
                else:  # its address is another's only when nothing of it runs any more
                    later = leave
            making.unmake(parts, record.id, record)
        if later is not None:
            later()
        for key in record.volumes:
            parts.volumes.release(key)
        for key in record.data:
            parts.data.release(key.rpartition(":")[0], record.id)

    def _export(
        self, container: str, directory: str, target: Path, keep_times: bool, without: tuple[str, ...]
    ) -> ImageRef:
        stage = self._layout.run / "export" / container
        root = self._layout.work(container) / "rootfs"
        try:
            files.pack(root, directory, stage, target, keep_times, without)
        finally:
            files.remove_stage(stage)
        return self._parts.images.keep(target)
