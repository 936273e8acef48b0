"""Tells the controller how this host is.

In: a call of `changed` after each change.  Out: a whole report at once, and every 5 s; a newer wanted state back.
"""

from __future__ import annotations

import asyncio
import logging
import time

from runtime.agent.backoff import retry_delay
from runtime.agent.controller import Controller
from runtime.agent.host import Host, OlderGeneration
from runtime.model import WantedState

log = logging.getLogger(__name__)
COALESCE_SECONDS = 0.02
INTERVAL_SECONDS = 5.0


class Reporter:
    """Two tasks, `run` and `keep_saving`. Works without a controller too: then it only stores what changed."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._changed = asyncio.Event()
        self._unsaved = asyncio.Event()
        self._failures = 0

    def changed(self) -> None:
        self._changed.set()
        self._unsaved.set()

    async def keep_saving(self, host: Host) -> None:
        """Store what changed at once, whether the controller answers or not; never ends."""
        while True:
            await self._unsaved.wait()
            self._unsaved.clear()
            try:
                host.save()
            except OSError as error:
                log.error("the state of this host cannot be stored: %s", error)
            await asyncio.sleep(COALESCE_SECONDS)

    async def run(self, host: Host) -> None:
        while True:
            await self._wait_for_change()
            try:
                host.forget_old(time.time())
                await self._report(host)
            except Exception as error:
                await self._failed(error)

    async def _wait_for_change(self) -> None:
        try:
            await asyncio.wait_for(self._changed.wait(), INTERVAL_SECONDS)
            await asyncio.sleep(COALESCE_SECONDS)
        except TimeoutError:
            pass
        self._changed.clear()

    async def _report(self, host: Host) -> None:
        report = host.report()
        if self._controller.exists:
            reply = await self._controller.report(report)
            if self._failures:
                log.info("the controller answers again")
            self._failures = 0
            host.acknowledge(report)
            if reply.wanted is not None:
                await _apply(host, reply.wanted)
        else:
            host.acknowledge(report)

    async def _failed(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == 1:
            log.warning("the host report did not arrive; this host goes on alone: %s", error)
        await asyncio.sleep(retry_delay(self._failures))
        self._changed.set()


async def _apply(host: Host, wanted: WantedState) -> None:
    try:
        await host.apply_wanted(wanted)
    except OlderGeneration as error:
        log.info("an older wanted state is ignored: %s", error)
