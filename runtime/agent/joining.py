"""Keeps this host joined to its peers as the wanted state says.

In: the host's wanted state.  Out: engine calls after each change and every half minute, which mends what was lost.
"""

from __future__ import annotations

import asyncio
import logging

from runtime.agent.backoff import retry_delay
from runtime.agent.calls import EngineCalls
from runtime.agent.host import Host
from runtime.container.port import EngineError
from runtime.network.reach import effective_egress

log = logging.getLogger(__name__)
MEND_SECONDS = 30.0


class Joining:
    """One task, `run`. A failure is told once and in the host's report, and tried again."""

    def __init__(self, host: Host, calls: EngineCalls) -> None:
        self._host = host
        self._calls = calls
        self._failures = 0
        self._told = ""

    async def run(self) -> None:
        while True:
            self._host.rewired.clear()
            try:
                await self._join()
            except Exception:
                log.exception("the network of this host could not be looked after")
                self._failures += 1
            pause = min(MEND_SECONDS, retry_delay(self._failures)) if self._failures else MEND_SECONDS
            try:
                await asyncio.wait_for(self._host.rewired.wait(), pause)
            except TimeoutError:
                continue

    async def _join(self) -> None:
        wanted = self._host.wanted
        try:
            await self._calls.confine(effective_egress(wanted.egress, wanted.networks), wanted.build_egress)
            await self._calls.connect(wanted.peers, wanted.members, wanted.network, wanted.networks)
        except EngineError as error:
            self._failures += 1
            if str(error) != self._told:
                log.warning("%s", error)
            self._told = str(error)
        else:
            if self._told:
                log.info("this host is joined to its peers again")
            self._failures, self._told = 0, ""
        self._host.tell_network(await self._calls.network())
        self._host.tell_offer(await self._calls.offer())
