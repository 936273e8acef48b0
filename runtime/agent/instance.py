"""One instance: the task that keeps its container running until it is no longer wanted.

In: an `InstanceSpec`, perhaps a record of an earlier agent.  Out: engine calls, log lines, an `InstanceStatus`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from signal import SIGKILL

import msgspec

from runtime.agent import phrases
from runtime.agent.backoff import count_failure, restart_delay
from runtime.agent.calls import EngineCalls
from runtime.agent.events import Events
from runtime.agent.health import kind_of, probe
from runtime.agent.images import Images
from runtime.agent.lifecycle import RUNNING, Event, step
from runtime.agent.sessions import Sessions
from runtime.agent.store import InstanceRecord
from runtime.container.port import Observed
from runtime.logs.hub import LogHub
from runtime.model import (
    EventKind,
    ExitInfo,
    ExitReason,
    HealthKind,
    InstanceSpec,
    InstanceState,
    InstanceStatus,
)

log = logging.getLogger(__name__)
BOOT_POLL_SECONDS = 0.1
TOLD = {InstanceState.UP: EventKind.UP, InstanceState.UNHEALTHY: EventKind.UNHEALTHY}


@dataclass(frozen=True)
class Context:
    """What every supervisor works with. `changed` is called after each change of a status; `save` stores all of them
    at once: before a container is deleted, so that how it ended is never forgotten."""

    calls: EngineCalls
    images: Images
    logs: LogHub
    changed: Callable[[], None]
    events: Events
    save: Callable[[], None]
    sessions: Sessions = field(default_factory=Sessions)


class Instance:
    """A supervisor. `start` once, `stop` once; `status` is always current."""

    def __init__(self, spec: InstanceSpec, context: Context, record: InstanceRecord | None = None) -> None:
        self.spec = spec
        self._id = spec.container.id
        self._context = context
        self._failures = record.failures if record else 0
        self._up_at: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._failure_shown = ""
        self.looked = asyncio.Event()  # set once it is known what an earlier agent left
        self.stopped_at_generation = record.stopped_at_generation if record else None
        self.status = (
            record.status
            if record
            else InstanceStatus(
                id=self._id, state=InstanceState.PENDING, since=time.time(), port=spec.container.port
            )
        )

    @property
    def record(self) -> InstanceRecord:
        return InstanceRecord(
            status=self.status,
            owner=self.spec.container.owner,
            name=self.spec.container.name,
            failures=self._failures,
            stopped_at_generation=self.stopped_at_generation,
        )

    @property
    def supervised(self) -> bool:
        return self._task is not None

    def start(self) -> None:
        self._context.logs.open(self.spec.container)
        self._task = asyncio.create_task(self._supervise(), name=f"instance {self._id}")

    async def leave(self) -> None:
        """End the supervision and leave the container as it is (the agent is being restarted)."""
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def stop(self, generation: int, grace: float | None = None) -> None:
        """End the supervision and the container: TERM, grace, KILL, delete."""
        grace = self.spec.container.grace_seconds if grace is None else grace
        ran = self.status.state in RUNNING
        await self.leave()
        self._apply(Event.STOP, restart_at=None)
        if ran:
            self._say(phrases.stopping())
        await self._remove(grace)
        self.stopped_at_generation = generation
        self._context.logs.end(self._id)
        self._apply(Event.GONE, address="", started_at=None)
        self._tell(EventKind.REMOVED)

    async def _remove(self, grace: float) -> None:
        attempt = 0
        while True:
            try:
                exit = await self._context.calls.terminate(self._id, grace, lambda: self._overtime(grace))
                if exit:
                    self._say(phrases.exited(exit), end=True)
                    self._apply(None, last_exit=exit)
                    self._tell_exit(exit)
                    self._context.save()
                await self._context.calls.delete(self._id)
            except Exception as error:
                attempt += 1
                log.error("%s cannot be removed, trying again: %s", self._id, error)
                await asyncio.sleep(min(attempt, 10))
            else:
                return

    def _overtime(self, grace: float) -> None:
        self._say(phrases.exit_timeout(grace))
        self._say(phrases.killing())
        self._tell(EventKind.KILLED, f"it did not end within {grace:g} seconds of SIGTERM")

    async def _supervise(self) -> None:
        adopted = await self._found()
        while True:
            try:
                exit = await self._live(adopted)
            except Exception as error:
                log.warning("%s could not be started: %s", self._id, error)
                exit = ExitInfo(reason=ExitReason.NOT_STARTED, at=time.time(), message=str(error))
            adopted = None
            await self._crash(exit)
            await self._back_off()

    async def _found(self) -> Observed | None:
        """The container of an earlier agent, if it is there."""
        while True:
            try:
                found = await self._context.calls.find(self._id)
            except Exception as error:
                log.error("the containers of this host cannot be listed, trying again: %s", error)
                await asyncio.sleep(1)
                continue
            break
        await self._note_end(found)
        self.looked.set()
        if self.status.state is InstanceState.CRASHED:
            await self._back_off()
        return found if found and found.running else None

    async def _note_end(self, found: Observed | None) -> None:
        """What ended while no agent was looking."""
        if found and not found.running:
            exit = found.exit or ExitInfo(reason=ExitReason.LOST, at=time.time())
            if self._is_noted(exit):  # the earlier agent died between noting it and clearing up
                await self._clear()
            else:
                await self._crash(exit)
        elif found is None and self.status.state in RUNNING:
            self._end_run(ExitInfo(reason=ExitReason.LOST, at=time.time(), message="the container was gone"))

    async def _live(self, adopted: Observed | None) -> ExitInfo:
        """One run of the container, from its creation to its end."""
        if adopted is None:
            pid, address = await self._launch()
        else:
            pid, address = await self._adopt(adopted)
        ended = asyncio.create_task(self._context.calls.ended(self._id, pid))
        booted_too_slowly = asyncio.create_task(self._watch_health(address))
        try:
            await asyncio.wait({ended, booted_too_slowly}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return await ended
            booted_too_slowly.result()  # the only way it returns; anything else is raised here
            return await self._fail_boot(ended)
        finally:
            ended.cancel()
            booted_too_slowly.cancel()

    async def _launch(self) -> tuple[int, str]:
        container = self.spec.container
        await self._context.images.ensure_patiently(container.rootfs.layers, self._fetch_failed)
        created = await self._context.calls.create(container)
        self._tell(EventKind.CREATED)
        self._context.logs.open(container)
        self._say(phrases.starting(container))
        for note in created.notes:
            self._say(note)
        await self._context.calls.start(self._id)
        self._up_at = None
        self._tell(EventKind.STARTED)
        self._apply(Event.STARTED, address=created.address, started_at=time.time(), restart_at=None)
        return created.pid, created.address

    async def _adopt(self, found: Observed) -> tuple[int, str]:
        log.info("%s is adopted", self._id)
        await self._context.calls.start(self._id)  # the earlier agent may have died between create and start
        if self.status.state not in RUNNING:
            self._apply(Event.RETRY)
            self._apply(Event.STARTED)
        started = found.started_at or self.status.started_at or time.time()
        self._up_at = self.status.since if self.status.state is InstanceState.UP else None
        self._apply(None, address=found.address, started_at=started, restart_at=None)
        return found.pid, found.address

    def _fetch_failed(self, message: str) -> None:
        exit = ExitInfo(reason=ExitReason.NOT_STARTED, at=time.time(), message=message)
        if message != self._failure_shown:
            self._failure_shown = message
            self._say(phrases.fetching_failed(message))
            self._apply(None, last_exit=exit)

    async def _fail_boot(self, ended: asyncio.Task[ExitInfo]) -> ExitInfo:
        self._say(phrases.boot_timeout(self.spec.container, self.spec.health.start_timeout))
        self._say("Stopping process with SIGKILL")
        self._tell(EventKind.KILLED, f"it was not healthy within {self.spec.health.start_timeout:g} seconds")
        await self._context.calls.kill(self._id, SIGKILL)
        exit = await ended
        return ExitInfo(reason=ExitReason.BOOT_TIMEOUT, code=exit.code, signal=exit.signal, at=exit.at)

    async def _watch_health(self, address: str) -> None:
        """Report health as it changes. Returns when the instance did not become healthy in time."""
        check = self.spec.health
        steady = kind_of(self.spec, address) is HealthKind.STEADY
        if self.status.state is InstanceState.STARTING:
            if steady:
                await asyncio.sleep(check.steady_seconds)
            elif not await self._boots(address):
                return
            self._healthy()
        if steady:
            await asyncio.Event().wait()
        await self._keep_checking(address)

    async def _boots(self, address: str) -> bool:
        check, port = self.spec.health, self.spec.container.port or 0
        deadline = (self.status.started_at or time.time()) + check.start_timeout
        while time.time() < deadline:
            if await probe(check, address, port):
                return True
            await asyncio.sleep(BOOT_POLL_SECONDS)
        return False

    async def _keep_checking(self, address: str) -> None:
        check, port, failures = self.spec.health, self.spec.container.port or 0, 0
        while True:
            await asyncio.sleep(check.interval)
            if await probe(check, address, port):
                failures = 0
                self._healthy()
            else:
                failures += 1
                if failures >= check.unhealthy_threshold:
                    self._apply(Event.SICK)

    def _healthy(self) -> None:
        self._up_at = self._up_at or time.time()
        self._apply(Event.HEALTHY)

    async def _crash(self, exit: ExitInfo) -> None:
        """Note how the run ended and clear its remains away."""
        self._end_run(exit)
        self._context.save()
        await self._clear()

    def _is_noted(self, exit: ExitInfo) -> bool:
        last = self.status.last_exit
        return self.status.state is InstanceState.CRASHED and last is not None and last.at == exit.at

    async def _clear(self) -> None:
        try:
            await self._context.calls.delete(self._id)
        except Exception as error:  # create() cleans up or says why it cannot
            log.error("the remains of %s cannot be removed: %s", self._id, error)

    def _end_run(self, exit: ExitInfo) -> None:
        exit = msgspec.structs.replace(exit, tail=self._context.logs.tail(self._id))
        if exit.reason is ExitReason.OOM:
            self._say(phrases.out_of_memory(self.spec.container))
        self._say(phrases.exited(exit), end=True)
        self._tell_exit(exit)
        up_seconds = exit.at - self._up_at if self._up_at else 0.0
        self._failures = count_failure(self._failures, up_seconds)
        self._up_at, self._failure_shown = None, ""
        due = time.time() + restart_delay(self._failures)
        self._apply(Event.ENDED, last_exit=exit, restart_at=due, started_at=None, address="")

    async def _back_off(self) -> None:
        await asyncio.sleep(max(0.0, (self.status.restart_at or 0.0) - time.time()))
        self._apply(Event.RETRY, restarts=self.status.restarts + 1, restart_at=None)

    def _say(self, text: str, *, end: bool = False) -> None:
        self._context.logs.system(self._id, text, end=end)

    def _tell_exit(self, exit: ExitInfo) -> None:
        kind = EventKind.OOM if exit.reason is ExitReason.OOM else EventKind.EXITED
        self._tell(kind, phrases.exited(exit), exit)

    def _tell(self, kind: EventKind, message: str = "", exit: ExitInfo | None = None) -> None:
        one = self.spec.container
        self._context.events.add(
            kind, container=one.id, owner=one.owner, name=one.name, message=message, exit=exit
        )

    def _apply(self, event: Event | None, **changes: object) -> None:
        """Step the state and replace fields of the status; tell when something differs."""
        old = self.status
        state = step(old.state, event) if event else old.state
        since = old.since if state is old.state else time.time()
        self.status = msgspec.structs.replace(old, **changes, state=state, since=since)
        self._say(phrases.state_changed(old.state, state))
        if state is not old.state and state in TOLD:
            self._tell(TOLD[state])
        if self.status != old:
            self._context.changed()
