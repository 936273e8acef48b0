"""Looks after the volumes in use: tells when one is full, mounts again what lost its mount.

In: time passing.  Out: lines in the logs of the apps that use them, events.
"""

from __future__ import annotations

import asyncio
import logging

from runtime.agent.events import Events
from runtime.logs.hub import LogHub
from runtime.model import EventKind, VolumeStatus
from runtime.volumes.port import VolumeKeeper
from runtime.volumes.store import show

log = logging.getLogger(__name__)
LOOK_SECONDS = 5.0
MARKS = (0.85, 0.95)
FULL_BYTES = 2 * 1024**2  # a write of a megabyte may need that much in one piece


class VolumeWatch:
    """One task, `run`."""

    def __init__(self, keeper: VolumeKeeper, logs: LogHub, events: Events) -> None:
        self._keeper, self._logs, self._events = keeper, logs, events
        self._levels: dict[str, int] = {}

    async def run(self) -> None:
        """Look every few seconds. Never ends."""
        while True:
            try:
                await self.look()
            except Exception as error:  # one bad moment must not end it for good
                log.error("the volumes of this host cannot be looked at: %s", error)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        for sentence in await asyncio.to_thread(self._keeper.look_after):
            log.warning("%s", sentence)
            self._events.add(EventKind.VOLUME, message=sentence)
        volumes = await asyncio.to_thread(self._keeper.list)
        for volume in volumes:
            self._tell_full(volume)
        self._levels = {one.id: self._levels[one.id] for one in volumes if one.id in self._levels}

    def _tell_full(self, volume: VolumeStatus) -> None:
        before, level = self._levels.get(volume.id, 0), level_of(volume)
        self._levels[volume.id] = level
        if level <= before or not volume.holders:
            return
        words = full_words(volume)
        self._events.add(EventKind.VOLUME, owner=volume.owner, message=words)
        for holder in volume.holders:
            if holder.container:
                self._logs.system(holder.container, words)


def level_of(volume: VolumeStatus) -> int:
    """How many of the marks a volume has passed. Pure."""
    return sum(volume.used_bytes >= volume.size_bytes * mark for mark in MARKS) + is_full(volume)


def is_full(volume: VolumeStatus) -> bool:
    return volume.size_bytes - volume.used_bytes < min(FULL_BYTES, volume.size_bytes // 100)


def full_words(volume: VolumeStatus) -> str:
    """Say how full it is and what to do. Pure."""
    what = "full: writes to it fail with ENOSPC" if is_full(volume) else "nearly full"
    return (
        f"Volume {volume.name} is {what} ({show(volume.used_bytes)} of {show(volume.size_bytes)}); "
        "delete what is not needed, or let it grow"
    )
