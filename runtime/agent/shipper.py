"""Carries output to the controller.

In: spools with something new.  Out: lists of `LogBatch`, at most every 0.2 s, repeated until taken.

The spools on disk are the queue: bounded by rotation, never blocking a container, counted when they overflow.
A cursor is stored after each accepted batch, so lines may be sent twice after a crash but are never skipped.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from runtime.agent.backoff import retry_delay
from runtime.agent.controller import Refused
from runtime.agent.store import write_atomic
from runtime.logs.hub import LogHub, Source
from runtime.logs.limit import Bucket, limit, skip
from runtime.logs.spool import Reader
from runtime.model import LogBatch

log = logging.getLogger(__name__)
INTERVAL_SECONDS = 0.2
BATCH_BYTES = 1024**2
UNACCEPTABLE = (400, 413, 415, 422)  # these lines will never be taken; a 404 is a host not known yet
Send = Callable[[tuple[LogBatch, ...]], Awaitable[None]]


class Shipper:
    """One task; `run` never ends."""

    def __init__(self, hub: LogHub, send: Send, cursors: Path) -> None:
        self._hub = hub
        self._send = send
        self._path = cursors
        self._cursors = _load(cursors)
        self._readers: dict[str, Reader] = {}
        self._buckets: dict[str, Bucket] = {}
        self._forgetting: set[str] = set()
        self.lost: Counter[str] = Counter()  # lines of a container that were dropped, as long as it is known

    def forget_when_shipped(self, container: str) -> None:
        """Delete a container's output as soon as all of it was taken."""
        self._forgetting.add(container)
        self._hub.dirty[container] = None
        self._hub.wake_shipper.set()

    async def run(self) -> None:
        while True:
            await self._hub.wake_shipper.wait()
            self._hub.wake_shipper.clear()
            batches = await self.collect()
            if batches:
                await self._deliver(batches)
                self._store()
            self._forget_done()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def collect(self) -> tuple[LogBatch, ...]:
        """Read from every container with news in turn, a share each, until the batch is full."""
        batches, size = [], 0
        while self._hub.dirty and size < BATCH_BYTES:
            container = next(iter(self._hub.dirty))
            del self._hub.dirty[container]
            source = self._hub.sources.get(container)
            if source:
                batch, read = self._read(source)
                batches += [batch] if batch else []
                size += read
                await asyncio.sleep(0)
        if self._hub.dirty:
            self._hub.wake_shipper.set()
        return tuple(batches)

    def _read(self, source: Source) -> tuple[LogBatch | None, int]:
        """One container's share: its batch, if there is anything to say, and the bytes read."""
        id_ = source.spec.id
        reader = self._reader(source)
        before = reader.position
        if reader.held:  # there is news again when it goes on
            return None, 0
        if skipped := self._skip(id_, reader):
            self._hub.dirty[id_] = None
            batch = LogBatch(container=id_, owner=source.spec.owner, name=source.spec.name, lost=skipped)
            return batch, reader.position - before
        lines, more = reader.read()
        lost = reader.take_lost()
        if more:
            self._hub.dirty[id_] = None
        self._buckets[id_], kept, dropped = limit(self._buckets.get(id_, Bucket()), lines, more=more)
        if lost + dropped:
            self.lost[id_] += lost + dropped
        if not kept and not lost + dropped:
            return None, reader.position - before
        batch = LogBatch(
            container=id_,
            owner=source.spec.owner,
            name=source.spec.name,
            lines=tuple(kept),
            lost=lost + dropped,
        )
        return batch, reader.position - before

    def _skip(self, container: str, reader: Reader) -> int:
        """While a container writes more than it may, what it writes is counted and not read. Returns how many lines."""
        bucket = self._buckets.get(container)
        flood = reader.flood(bucket.rate) if bucket and bucket.over else None
        after = (
            skip(bucket, flood.lines, flood.at, reader.position + flood.size) if bucket and flood else None
        )
        if flood is None or after is None:
            return 0
        reader.pass_over(flood)
        self._buckets[container] = after
        self.lost[container] += flood.lines
        return flood.lines

    def _reader(self, source: Source) -> Reader:
        reader = self._readers.get(source.spec.id)
        if reader is None or reader.spool is not source.spool:
            reader = Reader(source.spool, self._cursors.get(source.spec.id, 0))
            self._readers[source.spec.id] = reader
        return reader

    async def _deliver(self, batches: tuple[LogBatch, ...]) -> None:
        attempt = 0
        while True:
            try:
                await self._send(batches)
            except Exception as error:
                if isinstance(error, Refused) and error.status in UNACCEPTABLE:
                    log.error("%d log batches are dropped: %s", len(batches), error)
                    break
                attempt += 1
                if attempt == 1:
                    log.warning("the controller does not take log lines, trying again: %s", error)
                await asyncio.sleep(retry_delay(attempt))
            else:
                break
        for batch in batches:
            if batch.lines:
                self._cursors[batch.container] = batch.lines[-1].cursor

    def _forget_done(self) -> None:
        for container in tuple(self._forgetting):
            if container not in self._hub.dirty:
                self._forgetting.discard(container)
                self._hub.forget(container)
                self._readers.pop(container, None)
                self._buckets.pop(container, None)
                self.lost.pop(container, None)
                if self._cursors.pop(container, None) is not None:
                    self._store()

    def _store(self) -> None:
        try:
            write_atomic(self._path, msgspec.json.encode(self._cursors), sync=False)
        except OSError as error:
            log.error("cannot store log cursors: %s", error)


def _load(path: Path) -> dict[str, int]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, int])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}
