"""Keeps this host from filling up.

In: time passing, a disk that gets full, a request.  Out: images, caches, files and user ranges that nobody needs any
more are gone; each removal is a log line, an event and a number in the metrics.

Every step is safe to die in: nothing is marked for removal anywhere, the next round looks again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from runtime.agent.calls import EngineCalls
from runtime.agent.events import Events
from runtime.agent.garbage import (
    Keep,
    Removal,
    free_floor,
    only_existing,
    plan_caches,
    plan_images,
    plan_owners,
)
from runtime.agent.host import Host
from runtime.agent.images import Images
from runtime.agent.pins import Pins, Seen, note, pins_of, unchanged
from runtime.agent.store import Store
from runtime.model import DoctorReport, EventKind, ImageRef, Pruned

log = logging.getLogger(__name__)
LOOK_SECONDS = 30.0
ROUND_SECONDS = 600.0
DEAD_FILE_SECONDS = (
    3600.0  # a transfer without a byte for a minute is given up; a file an hour old is nobody's
)
MEBIBYTE = 1024**2


@dataclass(frozen=True)
class HostAsked:
    """What a host was asked for, for the engine's threads."""

    host: Host

    def containers(self) -> frozenset[str]:
        wanted = (spec.container.id for spec in self.host.running.instances)
        return frozenset(self.host.instances) | frozenset(self.host.jobs) | frozenset(wanted)

    def jobs(self) -> frozenset[str]:
        return frozenset(self.host.jobs)


@dataclass
class Numbers:
    """What the metrics show. Bytes; `removed` counts by kind since the agent started."""

    images: int = 0
    image_bytes: int = 0
    caches: int = 0
    cache_bytes: int = 0
    disk_free_bytes: int = 0
    disk_bytes: int = 0
    removed: Counter[str] = field(default_factory=Counter)
    removed_bytes: int = 0
    round_at: float = 0.0


class Janitor:
    """One task, `run`; `prune` at any time beside it."""

    def __init__(
        self,
        host: Host,
        calls: EngineCalls,
        images: Images,
        store: Store,
        events: Events,
        keep: Keep,
        home: Path,
    ) -> None:
        self._host = host
        self._calls = calls
        self._images = images
        self._store = store
        self._events = events
        self._keep = keep
        self._home = home
        self._uses = store.load_uses()
        self._stored = self._uses
        self._pruning = asyncio.Lock()
        self._woken = asyncio.Event()
        self._told_full = False
        self.numbers = Numbers()

    def wake(self) -> None:
        """Look at once: a write failed because the disk is full."""
        self._woken.set()

    async def run(self) -> None:
        """Look every half minute; clear every ten, and at once when the disk is nearly full. Never ends."""
        while True:
            try:
                await self._look()
            except (
                Exception
            ) as error:  # a bad moment (full disk, engine busy) must not end the clearing for good
                log.error("clearing this host failed, trying again: %s", error)
            self._woken.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK_SECONDS)

    async def _look(self) -> None:
        self._uses = note(self._uses, self._seen(), await self._calls.owners(), time.time())
        lacking = self._lacking()
        if lacking > 0 or time.time() - self.numbers.round_at > ROUND_SECONDS:
            await self.prune()
        self._told_full = self._told_full and lacking > 0

    async def prune(self) -> Pruned:
        """One round. Returns what was removed."""
        async with self._pruning:
            now = time.time()
            self._uses = note(self._uses, self._seen(), await self._calls.owners(), now)
            removed = [*await self._prune_files(now), *await self._prune_images(now)]
            removed += await self._prune_caches(now)
            removed += await self._prune_owners(now)
            removed += await self._prune_leftovers()
            await self._settle(now)
            self._complain()
        return pruned(removed)

    async def drop_caches(self, owner: str, keep: frozenset[str]) -> Pruned:
        """Remove the build caches of an owner but those named in `keep` and those that a job uses."""
        removed = []
        for one in await self._calls.stored_volumes():
            key = f"{one.owner}/{one.name}"
            if one.owner != owner or one.name in keep or key not in self._uses.caches:
                continue
            if key not in self._pins().caches and await self._calls.remove_volume(owner, one.name):
                removed.append(self._tell(Removal("cache", key, one.disk_bytes, "it was purged")))
        return pruned(removed)

    async def examine(self, *, repair: bool) -> DoctorReport:
        """Is anything left on this host that nobody answers for? With `repair` it is removed."""
        if repair:
            await self._host.look_again()
        report = await self._calls.examine(HostAsked(self._host), repair=repair)
        for one in report.findings if repair else ():
            if one.repaired:
                self._tell(Removal("leftover", one.name, 0, f"{one.kind} {one.problem}"))
            else:
                log.warning("%s %s %s. %s", one.kind, one.name, one.problem, one.failed)
        return report

    def _seen(self) -> Seen:
        return Seen(
            wanted=(*self._host.wanted.instances, *self._host.local.instances),
            instances=tuple((one.spec, one.status) for one in self._host.instances.values()),
            jobs=tuple((job.spec, job.status) for job in self._host.jobs.values()),
        )

    def _pins(self) -> Pins:
        return pins_of(self._seen())

    async def _prune_images(self, now: float) -> list[Removal]:
        stored = await self._calls.stored_images()
        need = self._lacking()
        plan = plan_images(stored, self._uses, self._pins().images, self._keep, now, need)
        done = []
        for one in plan:
            if await self._images.remove(ImageRef(digest=one.name), lambda: self._pins().images):
                done.append(self._tell(one))
        return done

    async def _prune_caches(self, now: float) -> list[Removal]:
        stored = await self._calls.stored_volumes()
        need = self._lacking()
        done = []
        for one in plan_caches(stored, self._uses, self._pins().caches, self._keep, now, need):
            owner, _, name = one.name.rpartition("/")
            if one.name not in self._pins().caches and await self._calls.remove_volume(owner, name):
                done.append(self._tell(one))
        return done

    async def _prune_owners(self, now: float) -> list[Removal]:
        done = []
        for one in plan_owners(await self._calls.owners(), self._uses, self._pins().owners, self._keep, now):
            if one.name not in self._pins().owners and await self._calls.forget_owner(one.name):
                done.append(self._tell(one))
        return done

    async def _prune_leftovers(self) -> list[Removal]:
        report = await self.examine(repair=True)
        repaired = [finding for finding in report.findings if finding.repaired]
        return [Removal("leftover", one.name, 0, f"{one.kind} {one.problem}") for one in repaired]

    async def _prune_files(self, now: float) -> list[Removal]:
        """Inputs of jobs that are over, and downloads that died."""
        busy = {id_ for id_, job in self._host.jobs.items() if not job.ended.is_set()}
        found = await asyncio.to_thread(_dead_files, self._store, busy, now)
        for path, _ in found:
            await asyncio.to_thread(_remove, path)
        return [self._tell(one) for _, one in found]

    def _tell(self, removal: Removal) -> Removal:
        size = f" ({removal.bytes // MEBIBYTE} MiB)" if removal.bytes >= MEBIBYTE else ""
        log.info("removed %s %s%s: %s", removal.kind, removal.name, size, removal.reason)
        message = f"{removal.kind} {removal.name}{size}: {removal.reason}"
        self._events.add(EventKind.PRUNED, message=message)
        self.numbers.removed[removal.kind] += 1
        self.numbers.removed_bytes += removal.bytes
        return removal

    async def _settle(self, now: float) -> None:
        """Count what is left, and store who used what when that changed."""
        images, volumes = await self._calls.stored_images(), await self._calls.stored_volumes()
        caches = {key: one for one in volumes if (key := f"{one.owner}/{one.name}") in self._uses.caches}
        owners = {*await self._calls.owners(), *self._pins().owners}
        digests = {one.digest for one in images} | self._pins().images
        self._uses = only_existing(self._uses, digests, {*caches, *self._pins().caches}, owners)
        if not unchanged(self._stored, self._uses, ROUND_SECONDS / 2):
            await asyncio.to_thread(self._store.save_uses, self._uses)
            self._stored = self._uses
        numbers = self.numbers
        numbers.images, numbers.image_bytes = len(images), sum(one.size for one in images)
        numbers.caches, numbers.cache_bytes = len(caches), sum(one.disk_bytes for one in caches.values())
        numbers.round_at = now

    def _lacking(self) -> int:
        """How many bytes the disk has too few, 0 or less when there are enough."""
        disk = os.statvfs(self._home)
        self.numbers.disk_free_bytes = disk.f_bavail * disk.f_frsize
        self.numbers.disk_bytes = disk.f_blocks * disk.f_frsize
        return free_floor(self._keep, self.numbers.disk_bytes) - self.numbers.disk_free_bytes

    def _complain(self) -> None:
        if self._lacking() > 0 and not self._told_full:
            self._told_full = True
            free = self.numbers.disk_free_bytes // MEBIBYTE
            log.warning(
                "only %d MiB are free in %s and nothing more may be removed; free some space there",
                free,
                self._home,
            )


def pruned(removed: Iterable[Removal]) -> Pruned:
    """Return what was removed, in sentences and bytes."""
    all_ = tuple(removed)
    items = tuple(f"{one.kind} {one.name}: {one.reason}" for one in all_)
    return Pruned(items=items, bytes=sum(one.bytes for one in all_))


def _dead_files(store: Store, busy: set[str], now: float) -> list[tuple[Path, Removal]]:
    found = [(path, f"inputs/{path.name}", "the job is over") for path in store.inputs.iterdir()
             if path.name not in busy]  # fmt: skip
    for path in store.temporary.iterdir():
        with suppress(FileNotFoundError):
            if now - path.lstat().st_mtime > DEAD_FILE_SECONDS:
                found.append((path, f"tmp/{path.name}", "its transfer ended long ago"))
    return [(path, Removal("file", name, _size(path), reason)) for path, name, reason in found]


def _size(path: Path) -> int:
    files = [path, *(path.rglob("*") if path.is_dir() else ())]
    with suppress(FileNotFoundError):
        return sum(file.lstat().st_blocks * 512 for file in files)
    return 0


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
