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

from runtime.agent import live_limits, phrases
from runtime.agent.backoff import count_failure, restart_delay
from runtime.agent.calls import EngineCalls
from runtime.agent.checking import Checking, Judgement, Verdict
from runtime.agent.events import Events
from runtime.agent.health import Problem, find_problem, kind_of
from runtime.agent.images import Images
from runtime.agent.lifecycle import RUNNING, Event, step
from runtime.agent.remains import Ended
from runtime.agent.sessions import Sessions
from runtime.agent.store import InstanceRecord
from runtime.container.exits import NOT_STARTED
from runtime.container.port import Observed
from runtime.logs.hub import LogHub
from runtime.model import (
    EndedRun,
    EventKind,
    ExitInfo,
    ExitReason,
    HealthKind,
    InstanceSpec,
    InstanceState,
    InstanceStatus,
    Usage,
)

log = logging.getLogger(__name__)
LIMITS_AGAIN_SECONDS = 15.0  # memory that did not fit may have been freed
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
    ended: Ended
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
        self._settling: asyncio.Task[None] | None = None
        self.looked = asyncio.Event()  # set once it is known what an earlier agent left
        self.stop_asked = False
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
        tasks = {task for task in (self._task, self._settling) if task}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def take_over_soon(self, spec: InstanceSpec) -> None:
        """Its spec has changed: what can change while it runs does so now, the rest counts from the next start."""
        self.spec = live_limits.taken_over(self.spec, spec)
        self._settle_limits()

    async def take_over(self, spec: InstanceSpec) -> None:
        """The same, returning when it was tried once: the status says what came of it."""
        self.spec = live_limits.taken_over(self.spec, spec)
        if await self._settle_once():
            self._settle_limits()

    def _settle_limits(self) -> None:
        if self._settling:
            self._settling.cancel()
        self._settling = asyncio.create_task(self._keep_settling(), name=f"limits of {self._id}")

    async def _keep_settling(self) -> None:
        """Put the wanted limits in force; where they do not fit, again until they do or it starts anew."""
        while True:
            if not await self._settle_once():
                return
            await asyncio.sleep(LIMITS_AGAIN_SECONDS)

    async def _settle_once(self) -> bool:
        """Returns whether to try again."""
        if self.status.state not in RUNNING:
            return False
        wanted = self.spec.container.limits
        change = live_limits.to_apply(self.status.limits, wanted) if self.status.limits else wanted
        if change is None:
            self._apply(None, limits_problem="")
            return False
        try:
            await self._context.calls.update(self._id, change)
        except Exception as error:
            return self._limits_refused(str(error))
        if self.status.state in RUNNING:
            self._say(phrases.limits_changed(change))
            self._tell(EventKind.UPDATED, phrases.limits_changed(change))
            self._apply(None, limits=change, limits_problem="")
        return False

    def _limits_refused(self, why: str) -> bool:
        if self.status.state not in RUNNING:
            return False
        if not self.status.limits_problem:
            self._say(phrases.limits_refused(why))
        self._apply(None, limits_problem=why)
        return True

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
        self._apply(Event.GONE, address="", started_at=None, health_problem="")
        self._tell(EventKind.REMOVED)

    async def _remove(self, grace: float) -> None:
        attempt = 0
        while True:
            try:
                exit = await self._context.calls.terminate(self._id, grace, lambda: self._overtime(grace))
                if exit:
                    usage = await self._usage()
                    exit = self._with_lines(exit)
                    self._say(phrases.exited(exit), end=True)
                    self._note_run(exit, usage)
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
                exit = not_started(error)
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
        checked = asyncio.create_task(self._checking(address).run(**self._checked_how(address)))
        try:
            await asyncio.wait({ended, checked}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return await ended
            return await self._condemn(checked.result(), ended)
        finally:
            ended.cancel()
            checked.cancel()
            await asyncio.gather(checked, return_exceptions=True)  # a check's own process ends with it

    async def _launch(self) -> tuple[int, str]:
        container = self.spec.container
        await self._context.images.ensure_patiently(container.rootfs.layers, self._fetch_failed)
        created = await self._context.calls.create(container)
        self._tell(EventKind.CREATED)
        self._context.logs.open(container)
        self._say(phrases.starting(container))
        self._context.logs.begin_run(self._id)
        for note in created.notes:
            self._say(note)
        await self._context.calls.start(self._id)
        self._up_at = None
        self._tell(EventKind.STARTED)
        self._apply(
            Event.STARTED,
            address=created.address,
            started_at=time.time(),
            restart_at=None,
            limits=container.limits,
            limits_problem="",
        )
        self._settle_limits()  # they may have changed meanwhile
        return created.pid, created.address

    async def _adopt(self, found: Observed) -> tuple[int, str]:
        log.info("%s is adopted", self._id)
        await self._context.calls.start(self._id)  # the earlier agent may have died between create and start
        if self.status.state not in RUNNING:
            if not self._context.events.told_start(self._id):
                self._tell(EventKind.STARTED)
            self._apply(Event.RETRY)
            self._apply(Event.STARTED)
        started = found.started_at or self.status.started_at or time.time()
        self._up_at = self.status.since if self.status.state is InstanceState.UP else None
        self._apply(None, address=found.address, started_at=started, restart_at=None)
        self._settle_limits()
        return found.pid, found.address

    def _fetch_failed(self, message: str) -> None:
        exit = ExitInfo(reason=ExitReason.NOT_STARTED, at=time.time(), message=message)
        if message != self._failure_shown:
            self._failure_shown = message
            self._say(phrases.fetching_failed(message))
            self._apply(None, last_exit=exit)

    def _checking(self, address: str) -> Checking:
        spec = self.spec
        return Checking(
            spec.health,
            lambda: find_problem(spec, address, self._context.calls),
            self._healthy,
            self._sick,
            self.status.started_at or time.time(),
        )

    def _checked_how(self, address: str) -> dict[str, bool]:
        steady = kind_of(self.spec, address) is HealthKind.STEADY
        return {"booting": self.status.state is InstanceState.STARTING, "steady": steady}

    async def _condemn(self, judged: Judgement, ended: asyncio.Task[ExitInfo]) -> ExitInfo:
        """End a run that is not healthy: at once when it never was, with its grace when it was."""
        if judged.verdict is Verdict.DEAD:
            times = self.spec.health.restart_threshold
            self._say(phrases.check_failed(times, judged.problem))
            self._say(phrases.stopping())
            grace = self.spec.container.grace_seconds
            await self._context.calls.terminate(self._id, grace, lambda: self._overtime(grace))
            return condemned(await ended, ExitReason.UNHEALTHY, phrases.why_unhealthy(times, judged.problem))
        seconds = self.spec.health.start_timeout
        self._say(phrases.boot_timeout(self.spec.container, seconds, judged.problem))
        self._say("Stopping process with SIGKILL")
        self._tell(EventKind.KILLED, phrases.never_healthy(seconds, judged.problem))
        await self._context.calls.kill(self._id, SIGKILL)
        return condemned(await ended, ExitReason.BOOT_TIMEOUT, phrases.why_late(judged.problem))

    def _healthy(self) -> None:
        self._up_at = self._up_at or time.time()
        self._apply(Event.HEALTHY, health_problem="")

    def _sick(self, problem: Problem) -> None:
        was = self.status.state
        self._apply(Event.SICK, health_problem=problem.words)
        if self.status.state is not was:
            self._say(phrases.unhealthy(problem))

    async def _crash(self, exit: ExitInfo) -> None:
        """Note how the run ended and clear its remains away."""
        self._end_run(exit, await self._usage())
        self._context.save()
        await self._clear()

    async def _usage(self) -> Usage | None:
        """What the run had used: its control group is there until it is cleared away."""
        try:
            return await self._context.calls.usage(self._id)
        except Exception as error:
            log.info("what %s used is not known: %s", self._id, error)
            return None

    def _with_lines(self, exit: ExitInfo) -> ExitInfo:
        if exit.reason is ExitReason.NOT_STARTED:  # what is in the log is of an earlier run
            return exit
        head, tail = self._context.logs.ends(self._id)
        return msgspec.structs.replace(exit, head=head, tail=tail)

    def _note_run(self, exit: ExitInfo, usage: Usage | None) -> None:
        run = EndedRun(
            run=self.status.restarts + 1, exit=exit, started_at=self.status.started_at, usage=usage
        )
        self._context.ended.note(self.spec.container, "instance", run)

    def _is_noted(self, exit: ExitInfo) -> bool:
        last = self.status.last_exit
        return self.status.state is InstanceState.CRASHED and last is not None and last.at == exit.at

    async def _clear(self) -> None:
        try:
            await self._context.calls.delete(self._id)
        except Exception as error:  # create() cleans up or says why it cannot
            log.error("the remains of %s cannot be removed: %s", self._id, error)

    def _end_run(self, exit: ExitInfo, usage: Usage | None = None) -> None:
        exit = self._with_lines(exit)
        if exit.reason is ExitReason.OOM:
            self._say(phrases.out_of_memory(self.spec.container))
        self._say(phrases.exited(exit), end=True)
        self._note_run(exit, usage)
        self._tell_exit(exit)
        up_seconds = exit.at - self._up_at if self._up_at else 0.0
        self._failures = count_failure(self._failures, up_seconds)
        self._up_at, self._failure_shown = None, ""
        due = time.time() + restart_delay(self._failures)
        over = {"started_at": None, "address": "", "limits_problem": "", "health_problem": ""}
        self._apply(Event.ENDED, last_exit=exit, restart_at=due, **over)

    async def _back_off(self) -> None:
        await asyncio.sleep(max(0.0, (self.status.restart_at or 0.0) - time.time()))
        self._apply(Event.RETRY, restarts=self.status.restarts + 1, restart_at=None)

    def _say(self, text: str, *, end: bool = False) -> None:
        self._context.logs.system(self._id, text, end=end)

    def _tell_exit(self, exit: ExitInfo) -> None:
        """Once, also when an earlier agent died between telling and clearing up."""
        if self._context.events.told_end(self._id, exit.at):
            return
        kind = EventKind.OOM if exit.reason is ExitReason.OOM else EventKind.EXITED
        self._tell(kind, phrases.exited(exit), exit)

    def _tell_state(self, kind: EventKind, why: str) -> None:
        """Once, also when an earlier agent died between telling it and keeping the status."""
        if not self._context.events.told_state(self._id, kind):
            self._tell(kind, why)

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
            self._tell_state(TOLD[state], self.status.health_problem)
        if self.status != old:
            self._context.changed()


def not_started(error: Exception) -> ExitInfo:
    """There never was a process. Pure but for the time."""
    return ExitInfo(reason=ExitReason.NOT_STARTED, code=NOT_STARTED, at=time.time(), message=str(error))


def condemned(exit: ExitInfo, reason: ExitReason, message: str = "") -> ExitInfo:
    """How a run ended that the agent has ended, and why. Pure."""
    return msgspec.structs.replace(exit, reason=reason, message=message)
