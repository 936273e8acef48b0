"""All spools of a host: who writes, who waits, when to rotate.

In: containers as they come and go, the agent's own lines.  Out: readers that are woken when there is more to read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from runtime.logs.head import RunHead
from runtime.logs.inotify import Inotify
from runtime.logs.spool import MAX_BYTES, Reader, Spool
from runtime.model import ContainerSpec, LogLine, NetworkMode, Stream

log = logging.getLogger(__name__)
REOPEN_SECONDS = 5.0
KEEP_SECONDS = 3600.0
HELD_SECONDS = 0.02
TAIL_BYTES = 32 * 1024
TAIL_LINES = 10
TAIL_WIDTH = 300  # characters
Reopen = Callable[[str], Awaitable[None]]


@dataclass
class Source:
    """One container's output. `ended`: nothing more will be written."""

    spec: ContainerSpec
    spool: Spool
    ended: bool = False
    watch: int = -1
    rotating: asyncio.Task[None] | None = None
    waiting: set[asyncio.Event] = field(default_factory=set)

    @property
    def head(self) -> RunHead:
        return RunHead(self.spool)

    @property
    def shipped(self) -> bool:
        """Builds are read by the build task itself; everything else goes to the controller."""
        return self.spec.network is not NetworkMode.BUILD


class LogHub:
    """Lives on the event loop; every method is called from it."""

    def __init__(self, log_path: Callable[[str], Path], reopen: Reopen, max_bytes: int = MAX_BYTES) -> None:
        self._log_path = log_path
        self._reopen = reopen
        self._max_bytes = max_bytes
        self._inotify = Inotify()
        self.sources: dict[str, Source] = {}
        self.dirty: dict[
            str, None
        ] = {}  # containers with output the shipper has not looked at, oldest news first
        self.wake_shipper = asyncio.Event()

    def open(self, spec: ContainerSpec) -> Source:
        """Start to follow a container's output. Repeatable; after a restart of the process too."""
        source = self.sources.get(spec.id)
        if source is None:
            source = Source(spec, Spool(self._log_path(spec.id), self._max_bytes))
            self.sources[spec.id] = source
        source.ended = False
        self.attach(spec.id)
        if source.spool.half_rotated() and source.rotating is None:
            source.rotating = asyncio.create_task(self._reopen_file(spec.id, source))
        return source

    def attach(self, container: str) -> None:
        """Watch the file that is written (again): called when the engine has made it."""
        source = self.sources[container]
        segments = source.spool.segments()
        if segments:
            previous = source.watch
            source.watch = self._inotify.watch(segments[-1].path, lambda: self._written(container))
            if previous not in (-1, source.watch):
                self._inotify.forget(previous)
        self._written(container)

    def system(self, container: str, text: str, *, end: bool = False) -> None:
        """Write a line of the agent's own into a container's output."""
        source = self.sources.get(container)
        if source is None or not text:
            return
        try:
            source.spool.write_system(text, end=end)
        except OSError as error:
            log.error("cannot write to the log of %s: %s", container, error)
        if source.watch == -1:
            self.attach(container)
        self._written(container)

    def begin_run(self, container: str) -> None:
        """What is written from now on belongs to a new run."""
        if container in self.sources:
            self.sources[container].head.begin()

    def ends(self, container: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the first and the last lines that the newest run of a container wrote, none of them twice."""
        source = self.sources.get(container)
        if source is None:
            return (), ()
        tail = self._tail(source)
        head = [line for line in source.head.lines() if not tail or line.cursor < tail[0].cursor]
        return tuple(line.text[:TAIL_WIDTH] for line in head), tuple(line.text[:TAIL_WIDTH] for line in tail)

    def _tail(self, source: Source) -> list[LogLine]:
        begun = source.head.begun
        reader = Reader(source.spool, max(begun or 0, source.spool.end() - TAIL_BYTES))
        lines: list[LogLine] = []
        more = True
        while more:
            found, more = reader.read()
            lines += found
        lines += reader.finish()
        if begun is not None:
            return [line for line in lines if line.stream is not Stream.SYSTEM][-TAIL_LINES:]
        for place, line in reversed(list(enumerate(lines))):
            if line.stream is Stream.SYSTEM:
                lines = lines[place + 1 :]
                break
        return lines[-TAIL_LINES:]

    def end(self, container: str) -> None:
        """Nothing more will be written: followers finish once they have read everything."""
        if container in self.sources:
            self.sources[container].ended = True
            self._written(container)

    def forget(self, container: str) -> None:
        """Delete a container's output."""
        source = self.sources.pop(container, None)
        self.dirty.pop(container, None)
        if source:
            self._inotify.forget(source.watch)
            source.spool.remove()
            source.head.remove()
            _wake(source)

    def sweep(self, now: float) -> None:
        """Delete old output of containers that nobody knows any more."""
        folder = self._log_path("any").parent
        for file in folder.iterdir() if folder.is_dir() else ():
            known = file.name.partition(".log")[0] in self.sources
            if not known and now - file.stat().st_mtime > KEEP_SECONDS:
                file.unlink(missing_ok=True)

    async def follow(
        self, container: str, cursor: int, *, follow: bool
    ) -> AsyncGenerator[list[LogLine], None]:
        """Yield the lines after `cursor` as they come; an empty list after 10 quiet seconds (a sign of life).

        Ends when the container has ended and all is read, or at once what is there is read without `follow`.
        """
        source = self.sources[container]
        reader, news = Reader(source.spool, cursor), asyncio.Event()
        source.waiting.add(news)
        try:
            while True:
                news.clear()
                ended = source.ended or not follow or self.sources.get(container) is not source
                lines, more = reader.read()
                if ended and not more:
                    yield [*lines, *reader.finish()]
                    return
                if lines:
                    yield lines
                await asyncio.sleep(0)
                if reader.held:
                    await asyncio.sleep(HELD_SECONDS)
                elif not more and not await _within(news.wait(), 10.0):
                    yield []
        finally:
            source.waiting.discard(news)

    def close(self) -> None:
        for source in self.sources.values():
            if source.rotating:
                source.rotating.cancel()
        self._inotify.close()

    def _written(self, container: str) -> None:
        source = self.sources.get(container)
        if source is None:
            return
        if source.shipped:
            self.dirty[container] = None
            self.wake_shipper.set()
        _wake(source)
        if not source.ended and source.rotating is None and source.spool.needs_rotation():
            source.spool.set_aside()
            source.rotating = asyncio.create_task(self._reopen_file(container, source))

    async def _reopen_file(self, container: str, source: Source) -> None:
        """The second half of a rotation; after a crash in its first half the only one."""
        try:
            await self._reopen(container)
            await _until(source.spool.path.exists, REOPEN_SECONDS)
            source.head.keep()
            readers = source.spool.hold()
            try:
                await asyncio.to_thread(source.spool.drop_old, readers)
            finally:
                source.spool.release(readers)
            self.attach(container)
        except Exception as error:  # the next write tries again
            log.error("cannot rotate the log of %s: %s", container, error)
        finally:
            source.rotating = None


def _wake(source: Source) -> None:
    for event in source.waiting:
        event.set()


async def _within(awaitable: Awaitable[object], seconds: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(awaitable, seconds)
        return True
    return False


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError("the writer did not open a new file")
        await asyncio.sleep(0.01)
