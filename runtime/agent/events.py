"""What happened on this host, numbered.

In: events as they happen.  Out: the newest of them after a given number, also over restarts and kill -9.

One JSON line per event, appended with a single write; two files of bounded size, so old events fall away by halves.
A number is never given twice: a client that kept one resumes there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

import msgspec

from runtime.model import EventKind, EventPage, ExitInfo, HostEvent, decode, encode

log = logging.getLogger(__name__)
KEEP = 2000
HALF_BYTES = 512 * 1024


class Events:
    """A ring of the newest events. Lives on the event loop."""

    def __init__(self, file: Path, keep: int = KEEP, half_bytes: int = HALF_BYTES) -> None:
        self._file, self._older = file, file.with_name(f"{file.name}.1")
        self._half_bytes = half_bytes
        self._ring: deque[HostEvent] = deque(maxlen=keep)
        self._news: asyncio.Event = asyncio.Event()
        for place in (self._older, self._file):
            self._ring.extend(_load(place))
        self._size = _size(file)
        self._torn = _is_torn(file)
        self._last = self._ring[-1].number if self._ring else 0

    @property
    def last(self) -> int:
        """The number of the newest event, 0 before the first."""
        return self._last

    def add(
        self,
        kind: EventKind,
        *,
        container: str = "",
        owner: str = "",
        name: str = "",
        message: str = "",
        exit: ExitInfo | None = None,
    ) -> HostEvent:
        """Note that something happened. The lines a process wrote stay out of it: they may hold anything."""
        if exit is not None:
            exit = msgspec.structs.replace(exit, tail=())
        event = HostEvent(
            number=self._last + 1,
            at=time.time(),
            kind=kind,
            container=container,
            owner=owner,
            name=name,
            message=message,
            exit=exit,
        )
        self._last = event.number
        self._ring.append(event)
        self._write(encode(event) + b"\n")
        self._news.set()
        self._news = asyncio.Event()
        return event

    def after(self, number: int, limit: int = 1000) -> EventPage:
        """Return the events after `number`, oldest first, at most `limit`."""
        events = [event for event in self._ring if event.number > number][:limit]
        first = self._ring[0].number if self._ring else 0
        return EventPage(events=tuple(events), first=first, last=self._last)

    def told_start(self, container: str) -> bool:
        """Whether the newest of a container's runs, as far as it was told, has begun and not ended."""
        ends = (EventKind.EXITED, EventKind.OOM, EventKind.REMOVED)
        for event in reversed(self._ring):
            if event.container == container and event.kind in (EventKind.STARTED, *ends):
                return event.kind is EventKind.STARTED
        return False

    def told_state(self, container: str, kind: EventKind) -> bool:
        """Whether the newest that was told of a container's run is that it became so (UP, UNHEALTHY)."""
        steps = (EventKind.STARTED, EventKind.UP, EventKind.UNHEALTHY, EventKind.EXITED, EventKind.OOM)
        mine = (one for one in reversed(self._ring) if one.container == container and one.kind in steps)
        newest = next(mine, None)
        return newest is not None and newest.kind is kind

    def told_end(self, container: str, at: float) -> bool:
        """Whether it was told that a run of this container ended at that moment."""
        ends = (EventKind.EXITED, EventKind.OOM)
        mine = (event for event in self._ring if event.container == container and event.kind in ends)
        return any(event.exit is not None and event.exit.at == at for event in mine)

    def told(self, kind: EventKind, message: str, after: int) -> bool:
        """Whether an event like this was told since number `after`."""
        found = (event for event in self._ring if event.number > after and event.kind is kind)
        return any(event.message == message for event in found)

    async def wait(self, number: int, seconds: float) -> None:
        """Return when there is an event after `number`, or after that time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._last <= number:
                    await self._news.wait()

    def _write(self, line: bytes) -> None:
        try:
            if self._size + len(line) > self._half_bytes and self._size:
                self._file.replace(self._older)
                self._size = 0
            with self._file.open("ab", buffering=0) as file:
                file.write(b"\n" + line if self._torn else line)
            self._torn = False
            self._size += len(line)
        except OSError as error:  # the ring in memory goes on
            log.error("an event could not be stored: %s", error)


def _load(file: Path) -> list[HostEvent]:
    """Read the whole lines of a file; a torn one (power cut, full disk) is passed over."""
    with suppress(FileNotFoundError):
        events = []
        for line in file.read_bytes().split(b"\n"):
            with suppress(ValueError):
                events.append(decode(line, HostEvent))
        return events
    return []


def _is_torn(file: Path) -> bool:
    with suppress(FileNotFoundError):
        data = file.read_bytes()
        return bool(data) and not data.endswith(b"\n")
    return False


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
