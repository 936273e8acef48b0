"""The engine, seen from the event loop.

In: coroutine calls.  Out: engine calls in worker threads, one at a time per container, and exits as they happen.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any, ParamSpec, TypeVar
from weakref import WeakValueDictionary

from runtime.container.port import (
    Asked,
    Attempt,
    Bind,
    Created,
    Engine,
    Execution,
    Observed,
    StoredImage,
    StoredVolume,
    Strain,
    Usage,
    VolumeBind,
)
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
    Offer,
    Peer,
)

P = ParamSpec("P")
T = TypeVar("T")
WORKERS = 8  # starts are bound by the kernel; more than 2-4 per core gains nothing (measured)
EXIT_FILE_SECONDS = 15.0
LOOK_SECONDS = 10.0


class EngineCalls:
    """Async face of an `Engine`. A cancelled caller never leaves a call half done: it goes on, and the next call
    for the same container waits for it."""

    def __init__(self, engine: Engine, workers: int = WORKERS) -> None:
        self.engine = engine
        self.pool = ThreadPoolExecutor(workers, thread_name_prefix="engine")
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def create(
        self,
        spec: ContainerSpec,
        *,
        binds: tuple[Bind, ...] = (),
        scratch_bytes: int = 0,
        volumes: tuple[VolumeBind, ...] = (),
    ) -> Created:
        make = partial(self.engine.create, binds=binds, scratch_bytes=scratch_bytes, volumes=volumes)
        return await self._one(spec.id, make, spec)

    async def start(self, container: str) -> None:
        await self._one(container, self.engine.start, container)

    async def kill(self, container: str, signal: int) -> None:
        await self._one(container, self.engine.kill, container, signal)

    async def update(self, container: str, limits: Limits) -> None:
        await self._one(container, self.engine.update, container, limits)

    async def weigh(self, container: str, shares: int) -> None:
        await self._run(self.engine.weigh, container, shares)

    async def hold_back(self, container: str, cores: float | None) -> None:
        await self._run(self.engine.hold_back, container, cores)

    async def delete(self, container: str) -> None:
        await self._one(container, self.engine.delete, container)

    async def reopen_log(self, container: str) -> None:
        await self._run(self.engine.reopen_log, container)

    async def read_file(self, container: str, path: str, limit: int) -> bytes:
        return await self._one(container, self.engine.read_file, container, path, limit)

    async def export(
        self, container: str, directory: str, target: Path, keep_times: bool, without: tuple[str, ...] = ()
    ) -> ImageRef:
        export = self.engine.export
        return await self._one(
            container, export, container, directory, target, keep_times=keep_times, without=without
        )

    async def usage(self, container: str) -> Usage | None:
        return await self._run(self.engine.usage, container)

    async def strain(self, container: str) -> Strain | None:
        return await self._one(container, self.engine.strain, container)

    async def strains(self) -> tuple[Strain, ...]:
        return await self._run(self.engine.strains)

    async def missing_images(self, refs: tuple[ImageRef, ...]) -> tuple[ImageRef, ...]:
        return await self._run(self.engine.missing_images, refs)

    async def add_image(self, ref: ImageRef, file: Path) -> None:
        await self._run(self.engine.add_image, ref, file)

    async def stored_images(self) -> tuple[StoredImage, ...]:
        return await self._run(self.engine.stored_images)

    async def remove_image(self, ref: ImageRef) -> None:
        await self._run(self.engine.remove_image, ref)

    async def stored_volumes(self) -> tuple[StoredVolume, ...]:
        return await self._run(self.engine.stored_volumes)

    async def remove_volume(self, owner: str, name: str) -> bool:
        return await self._run(self.engine.remove_volume, owner, name)

    async def owners(self) -> tuple[str, ...]:
        return await self._run(self.engine.owners)

    async def forget_owner(self, owner: str) -> bool:
        return await self._run(self.engine.forget_owner, owner)

    async def examine(self, asked: Asked, *, repair: bool) -> DoctorReport:
        return await self._run(self.engine.examine, asked, repair=repair)

    async def connect(
        self,
        peers: tuple[Peer, ...],
        members: tuple[Member, ...],
        network: int,
        networks: tuple[Network, ...] = (),
    ) -> None:
        await self._run(self.engine.connect, peers, members, network, networks)

    async def network(self) -> HostNetwork:
        return await self._run(self.engine.network)

    async def offer(self) -> Offer:
        return await self._run(self.engine.offer)

    async def serve_names(self, port: int) -> None:
        await self._run(self.engine.serve_names, port)

    async def confine(self, apps: Mapping[str, Egress], builds: Mapping[str, Egress]) -> None:
        await self._run(self.engine.confine, apps, builds)

    async def answered(self, address: str, name: str, addresses: tuple[str, ...], ttl: int) -> None:
        await self._run(self.engine.answered, address, name, addresses, ttl)

    async def refused(self) -> tuple[Attempt, ...]:
        return await self._run(self.engine.refused)

    async def list(self) -> tuple[Observed, ...]:
        return await self._run(self.engine.list)

    async def attach(self, container: str) -> socket.socket:
        return await self._run(self.engine.attach, container)

    async def resize(self, container: str, rows: int, columns: int) -> None:
        await self._run(self.engine.resize, container, rows, columns)

    async def execute(self, container: str, spec: ExecSpec) -> Execution:
        return await self._run(self.engine.execute, container, spec)

    async def copy(self, container: str, spec: CopySpec) -> Execution:
        return await self._run(self.engine.copy, container, spec)

    async def dial(self, container: str, port: int) -> socket.socket:
        return await self._run(self.engine.dial, container, port)

    async def wait_execution(self, execution: Execution, timeout: float) -> int | None:
        await _within(process_gone(execution.supervisor), timeout)
        return await self._run(execution.wait, 1.0)

    async def end_execution(self, execution: Execution) -> None:
        """End it whatever happens to the caller."""
        await asyncio.shield(self._run(execution.end))

    async def find(self, container: str) -> Observed | None:
        """The container as it is now, after any call for it that is still under way."""
        found = await self._one(container, self.engine.list)
        return next((item for item in found if item.id == container), None)

    async def ended(self, container: str, pid: int) -> ExitInfo:
        """Wait until process `pid` of the container is gone; return how it ended. No thread waits meanwhile.

        Looked at every few seconds as well: its supervisor may be killed while the process goes on.
        """
        while not await _within(process_gone(pid), LOOK_SECONDS):
            exit = await self._run(self.engine.wait, container, 0)
            if exit is not None:
                return exit
        deadline = time.monotonic() + EXIT_FILE_SECONDS
        while True:
            exit = await self._run(self.engine.wait, container, 1.0)
            if exit is not None:
                return exit
            if time.monotonic() > deadline:
                return ExitInfo(reason=ExitReason.LOST, at=time.time(), message="no exit status was left")

    async def terminate(
        self, container: str, grace: float, on_overtime: Callable[[], None]
    ) -> ExitInfo | None:
        """TERM, wait `grace` seconds, KILL; return how it ended (None: it was not there)."""
        found = await self.find(container)
        if found is None or not found.running:
            return found.exit if found else None
        ended = asyncio.ensure_future(self.ended(container, found.pid))
        try:
            await self.kill(container, SIGTERM)
            await asyncio.wait({ended}, timeout=grace)
            if not ended.done():
                on_overtime()
                await self.kill(container, SIGKILL)
            return await asyncio.wait_for(ended, EXIT_FILE_SECONDS * 2)
        except TimeoutError:
            return ExitInfo(reason=ExitReason.LOST, at=time.time(), message="SIGKILL did not end it")
        finally:
            ended.cancel()

    async def _run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.pool, partial(call, *args, **kwargs))

    async def _one(self, container: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        lock = self._locks.setdefault(container, asyncio.Lock())

        async def locked() -> T:
            async with lock:
                return await self._run(call, *args, **kwargs)

        task = asyncio.create_task(locked())
        task.add_done_callback(_retrieve)
        return await asyncio.shield(task)


def _retrieve(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


async def _within(step: Coroutine[Any, Any, None], seconds: float) -> bool:
    try:
        await asyncio.wait_for(step, seconds)
    except TimeoutError:
        return False
    return True


async def process_gone(pid: int) -> None:
    """Return when the process has ended (pidfd_open(2)); at once when there is none."""
    if not pid:
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
