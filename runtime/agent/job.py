"""One job: a container that runs once.

In: a `JobSpec`, or the record of one an earlier agent began.  Out: a `JobStatus`, a slug, log lines.

Every step may be repeated: a job whose agent died goes on where it was, and never runs twice.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import PurePosixPath
from signal import SIGHUP
from typing import Any

import msgspec

from runtime.agent import phrases
from runtime.agent.controller import Controller
from runtime.agent.images import retried
from runtime.agent.instance import Context
from runtime.agent.limits_met import met
from runtime.agent.local import changed
from runtime.agent.store import JobRecord, Store
from runtime.container.exits import NOT_STARTED
from runtime.container.port import Bind, EngineError, Observed, VolumeBind
from runtime.model import (
    EndedRun,
    EventKind,
    ExitInfo,
    ExitReason,
    JobOutput,
    JobSpec,
    JobState,
    JobStatus,
    LimitKind,
    LimitsChange,
)

log = logging.getLogger(__name__)
SCRATCH_BYTES = 4 * 1024**3
RESULT_BYTES = 1024**2
FETCH_SECONDS = 120.0
UPLOAD_SECONDS = 600.0
HANG_UP_SECONDS = 3.0
DEPENDENCIES_MAX = 8  # images of one build, each a mount of every instance
ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED})


class Job:
    """A supervisor. `status` is always current; `ended` is set once it is final."""

    def __init__(self, record: JobRecord, context: Context, controller: Controller, store: Store) -> None:
        self.record = record
        self.spec = record.spec
        self.created = asyncio.Event()  # there is a container to attach to
        self.ended = asyncio.Event()
        self._id = record.spec.container.id
        self._grace = record.spec.container.grace_seconds
        self._context = context
        self._controller = controller
        self._store = store
        self._task: asyncio.Task[None] | None = None
        self._cancelled = asyncio.Event()
        if record.cancelled:
            self._cancelled.set()
        if record.status.state in ENDED:
            self.ended.set()

    @property
    def status(self) -> JobStatus:
        return self.record.status

    def start(self) -> None:
        self._context.logs.open(self.spec.container)
        if self.ended.is_set():
            self._context.logs.end(self._id)
            return
        self._task = asyncio.create_task(self._supervise(), name=f"job {self._id}")

    async def leave(self) -> None:
        """End the supervision and leave the container as it is (the agent is being restarted)."""
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})

    def cancel(self, most_grace: float = math.inf) -> None:
        """Ask for its end, with its grace but at most `most_grace` seconds; `ended` tells when."""
        self._grace = min(self._grace, most_grace)
        self._cancelled.set()
        self._save(cancelled=True)

    async def change_limits(self, change: LimitsChange) -> None:
        """While it runs. Raises EngineError when its memory in use does not fit."""
        limits = changed(self.spec.container.limits, change)
        await self._context.calls.update(self._id, limits)
        container = msgspec.structs.replace(self.spec.container, limits=limits)
        self.spec = msgspec.structs.replace(self.spec, container=container)
        self._save(spec=self.spec)
        self._say(phrases.limits_changed(limits))
        self._tell(EventKind.UPDATED, phrases.limits_changed(limits))

    async def _supervise(self) -> None:
        try:
            status = await self._work()
        except Exception as error:
            log.warning("job %s failed: %s", self._id, error)
            status = self._failed(ExitReason.NOT_STARTED, str(error))
        await self._end(status)

    async def _end(self, status: JobStatus) -> None:
        """Stored first, then cleared away, then told: an agent that dies in between still knows how it ended."""
        self._save(final=status)
        if await self._clean():
            self._tell(EventKind.REMOVED)
        self._context.logs.end(self._id)
        self._update(status)
        self.ended.set()
        self._context.sessions.forget(self._id)

    async def _work(self) -> JobStatus:
        if self.record.final is not None:
            return self.record.final
        found = await self._context.calls.find(self._id)
        if found is None and self.status.state is not JobState.PENDING:
            return self._failed(ExitReason.LOST, "the host was restarted while the job ran; start it again")
        work = asyncio.create_task(self._run_to_exit(found))
        cancelled = asyncio.create_task(self._cancelled.wait())
        abandoned = asyncio.create_task(self._abandoned())
        try:
            await asyncio.wait({work, cancelled, abandoned}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
                if not cancelled.done():
                    return await self._hang_up(abandoned.result())
                return await self._stop(ExitReason.CANCELLED, "cancelled on request")
            exit = await work
        finally:
            for task in (work, cancelled, abandoned):
                task.cancel()
        if exit is None:
            self._say(phrases.job_timeout(self.spec.timeout))
            return await self._stop(ExitReason.TIMEOUT, f"took longer than {self.spec.timeout:g} seconds")
        return await self._finish(exit)

    async def _run_to_exit(self, found: Observed | None) -> ExitInfo | None:
        """Bring the container to its end. None: it ran out of time."""
        pid = found.pid if found and found.running else 0
        if found is None or self.status.state is JobState.PENDING:
            pid = await self._launch()
        self.created.set()
        with self._timed("run"):
            left = (self.record.started_at or time.time()) + self.spec.timeout - time.time()
            try:
                return await asyncio.wait_for(self._context.calls.ended(self._id, pid), max(left, 0.1))
            except TimeoutError:
                return None

    async def _launch(self) -> int:
        deadline = min(FETCH_SECONDS, self.spec.timeout)
        with self._timed("fetch"):
            binds = await self._fetch_inputs(deadline)
            await self._context.images.ensure_before(self.spec.container.rootfs.layers, deadline)
        with self._timed("create"):
            output = self.spec.output
            cache = VolumeBind(
                name=self.spec.cache,
                target="/cache",
                size_bytes=self.spec.cache_bytes,
                packed=output.directory if output and output.offer else "",
            )
            created = await self._context.calls.create(
                self.spec.container,
                binds=binds,
                scratch_bytes=SCRATCH_BYTES if self.spec.output else 0,
                volumes=(cache,) if self.spec.cache else (),
            )
            self._tell(EventKind.CREATED)
            self._context.logs.open(self.spec.container)
            self._say(phrases.starting(self.spec.container))
            self._context.logs.begin_run(self._id)
            for note in created.notes:
                self._say(note)
            await self._await_client()
            await self._context.calls.start(self._id)
            self._tell(EventKind.STARTED)
        self._save(started_at=time.time())
        self._update(self._with(state=JobState.RUNNING))
        return created.pid

    async def _await_client(self) -> None:
        """What is attached to from its start sees its first client before its first line."""
        self.created.set()
        if self.spec.attach_seconds:
            await self._context.sessions.presence(self._id).ready.wait()

    async def _abandoned(self) -> str:
        """Wait until it runs for nobody; say why. Most jobs run for the platform, attached to or not."""
        if not self.spec.attach_seconds:
            await asyncio.Event().wait()
        return await self._context.sessions.abandoned(self._id, self.spec.attach_seconds)

    async def _hang_up(self, why: str) -> JobStatus:
        """End it as a closed terminal would: HUP first, then as any other."""
        found = await self._context.calls.find(self._id)
        if found and found.running:
            self._say(phrases.hanging_up(why))
            await self._context.calls.kill(self._id, SIGHUP)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._context.calls.ended(self._id, found.pid), HANG_UP_SECONDS)
        return await self._stop(ExitReason.CANCELLED, why)

    async def _fetch_inputs(self, seconds: float) -> tuple[Bind, ...]:
        folder = self._store.inputs / self._id
        folder.mkdir(exist_ok=True)
        deadline = asyncio.get_running_loop().time() + seconds
        binds = []
        for number, item in enumerate(self.spec.inputs):
            file = folder / str(number)
            if not file.exists():
                part = folder / f"{number}.part"
                part.unlink(missing_ok=True)
                await retried(partial(self._controller.fetch, item.path, part), deadline)
                part.chmod(0o644)  # read inside as an unprivileged user
                part.rename(file)
            binds.append(Bind(source=str(file), target=item.target))
        return tuple(binds)

    async def _stop(self, reason: ExitReason, message: str) -> JobStatus:
        self._say(phrases.stopping())
        exit = await self._context.calls.terminate(self._id, self._grace, self._overtime)
        if exit:
            await self._note_run(exit)
            self._say(phrases.exited(exit), end=True)
            self._tell_exit(exit)
        return self._failed(reason, message, exit)

    async def _note_run(self, exit: ExitInfo) -> None:
        """Keep how it ended for whoever looks into it; nothing of it can keep the job from its end."""
        head, tail = self._context.logs.ends(self._id)
        try:
            usage = await self._context.calls.usage(self._id)
        except Exception as error:
            log.info("what job %s used is not known: %s", self._id, error)
            usage = None
        kept = msgspec.structs.replace(exit, head=head, tail=tail)
        run = EndedRun(run=1, exit=kept, started_at=self.record.started_at, usage=usage)
        self._context.ended.note(self.spec.container, "job", run)

    async def _finish(self, exit: ExitInfo) -> JobStatus:
        if exit.reason is ExitReason.OOM:
            self._say(phrases.out_of_memory(self.spec.container))
        await self._note_run(exit)
        self._say(phrases.exited(exit), end=True)
        self._tell_exit(exit)
        result = await self._result()
        if exit.code != 0 or exit.reason is not ExitReason.EXITED:
            message = exit.message or phrases.exited(exit)
            limits = await self._limits_met()
            return self._with(
                state=JobState.FAILED, exit=exit, result=result, message=message, limits_met=limits
            )
        if self.spec.output:
            self._update(self._with(state=JobState.PACKAGING, exit=exit, result=result))
            try:
                await self._package(self.spec.output)
            except Exception as error:
                log.warning("the slug of job %s failed: %s", self._id, error)
                return self._with(
                    state=JobState.FAILED, message=f"the slug could not be made or stored: {error}"
                )
        return self._with(state=JobState.SUCCEEDED, exit=exit, result=result)

    async def _limits_met(self) -> tuple[LimitKind, ...]:
        """Return what may be the cause of its failure; nothing when it cannot be seen."""
        try:
            strain = await self._context.calls.strain(self._id)
        except (EngineError, OSError) as error:
            log.info("the limits that job %s met are not known: %s", self._id, error)
            return ()
        return met(strain) if strain else ()

    async def _result(self) -> str:
        if not self.spec.result_path:
            return ""
        try:
            data = await self._context.calls.read_file(self._id, self.spec.result_path, RESULT_BYTES)
        except (EngineError, OSError) as error:
            log.info("job %s left no result: %s", self._id, error)
            return ""
        return data.decode("utf-8", "replace")

    async def _package(self, output: JobOutput) -> None:
        """Make the images, and upload those that the store has not got; the slug last, it names the build's end."""
        parts = dependencies(self.status.result, output.directory) if output.dependencies else ()
        files = [self._store.temporary / f"slug-{self._id}-{number}" for number in range(len(parts) + 1)]
        try:
            with self._timed("package"):
                for file in files:
                    file.unlink(missing_ok=True)
                export = self._context.calls.export
                layers = [
                    await export(self._id, part, file, False)
                    for part, file in zip(parts, files[1:], strict=True)
                ]
                slug = await export(self._id, output.directory, files[0], output.keep_times, parts)
            with self._timed("upload"):
                deadline = asyncio.get_running_loop().time() + UPLOAD_SECONDS
                sent = 0
                for ref, file in zip((*layers, slug), (*files[1:], files[0]), strict=True):
                    sent += await retried(partial(self._controller.put_image, ref, file), deadline)
            self._update(self._with(slug=slug, layers=tuple(layers), uploaded=sent))
        finally:
            for file in files:
                file.unlink(missing_ok=True)

    async def _clean(self) -> bool:
        """Remove its container and input files; False when the container could not be removed."""
        removed = True
        try:
            await self._context.calls.delete(self._id)
        except Exception as error:
            removed = False
            log.error("the container of job %s cannot be removed: %s", self._id, error)
        await asyncio.to_thread(shutil.rmtree, self._store.inputs / self._id, ignore_errors=True)
        return removed

    def remove_files(self) -> None:
        """Forget the job on disk."""
        self._store.forget_job(self._id)

    def _failed(self, reason: ExitReason, message: str, exit: ExitInfo | None = None) -> JobStatus:
        end = ExitInfo(
            reason=reason,
            code=exit.code if exit else (NOT_STARTED if reason is ExitReason.NOT_STARTED else None),
            signal=exit.signal if exit else None,
            at=time.time(),
            message=message,
        )
        return self._with(state=JobState.FAILED, exit=end, message=message)

    def _with(self, **changes: Any) -> JobStatus:
        return msgspec.structs.replace(self.status, **changes)

    def _update(self, status: JobStatus) -> None:
        since = self.status.since if status.state is self.status.state else time.time()
        self._save(status=msgspec.structs.replace(status, since=since))
        self._context.changed()

    def _save(self, **changes: Any) -> None:
        self.record = msgspec.structs.replace(self.record, **changes)
        try:
            self._store.save_job(self.record)
        except OSError as error:
            log.error("job %s cannot be stored: %s", self._id, error)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            spent = round(time.monotonic() - began, 4)
            timings = {**self.status.timings, name: spent}
            self.record = msgspec.structs.replace(self.record, status=self._with(timings=timings))

    def _overtime(self) -> None:
        self._say(phrases.killing())
        self._tell(EventKind.KILLED, f"it did not end within {self._grace:g} seconds of SIGTERM")

    def _tell_exit(self, exit: ExitInfo) -> None:
        if self._context.events.told_end(self._id, exit.at):
            return
        kind = EventKind.OOM if exit.reason is ExitReason.OOM else EventKind.EXITED
        self._tell(kind, phrases.exited(exit), exit)

    def _tell(self, kind: EventKind, message: str = "", exit: ExitInfo | None = None) -> None:
        one = self.spec.container
        self._context.events.add(
            kind, container=one.id, owner=one.owner, name=one.name, message=message, exit=exit
        )

    def _say(self, text: str, *, end: bool = False) -> None:
        self._context.logs.system(self._id, text, end=end)


def dependencies(result: str, directory: str) -> tuple[str, ...]:
    """Return the folders that a result names, as paths of the container; what is none of its own is left out."""
    try:
        named = json.loads(result).get("dependencies", [])
    except (ValueError, AttributeError):
        return ()
    names = [PurePosixPath(one) for one in named if isinstance(one, str)] if isinstance(named, list) else []
    inside = [one for one in names if one.parts and not one.is_absolute() and ".." not in one.parts]
    return tuple(str(PurePosixPath(directory, one)) for one in inside[:DEPENDENCIES_MAX])


def new_record(spec: JobSpec) -> JobRecord:
    """The record of a job that has just been asked for."""
    status = JobStatus(id=spec.container.id, state=JobState.PENDING, since=time.time())
    return JobRecord(spec=spec, status=status)
