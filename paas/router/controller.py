"""What the router tells the controller. In: its state and access lines. Out: posts; tables that come back as answers.

HAProxy needs none of this: with the controller gone everything is kept, tried again, and traffic goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

import aiohttp

from paas.router.collector import AccessBuffer
from paas.router.config import Settings
from paas.router.table import RouterReply, RouterReport, RouteTable, decode, encode

log = logging.getLogger(__name__)

REPORT_EVERY = 5.0
BATCH_EVERY = 0.2
BATCH_LINES = 1000
RETRY_AFTER = 1.0
TIMEOUT = aiohttp.ClientTimeout(total=10.0, connect=3.0)
UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError)


class RefusedError(Exception):
    """The controller answered, and did not want it."""


class Controller:
    """The controller, as this router sees it."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        self._base = f"{settings.controller}/internal/routers/{settings.id}"
        token = settings.controller_token
        shown = {"Authorization": f"Bearer {token}"} if token else {}
        self._headers = {**shown, "Content-Type": "application/json"}
        self._session = session
        self._complained = False

    async def report_forever(
        self, report: Callable[[], RouterReport], changed: asyncio.Event, accept: Callable[[RouteTable], bool]
    ) -> None:
        """Report at every change and every few seconds; take over tables that come back."""
        while True:
            changed.clear()
            with self._noting():
                answer = await self._post("report", encode(report()))
                reply = decode(answer, RouterReply) if answer.strip() else RouterReply()
                if reply.table is not None:
                    accept(reply.table)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPORT_EVERY):
                    await changed.wait()

    async def deliver_forever(self, buffer: AccessBuffer, router: str) -> None:
        """Deliver access lines in batches. What the controller refuses is counted as lost, the rest is tried again."""
        while True:
            await buffer.filled.wait()
            await asyncio.sleep(BATCH_EVERY)  # a batch collects for this long
            await self._deliver(buffer, router)

    async def _deliver(self, buffer: AccessBuffer, router: str) -> None:
        batch = buffer.take(router, BATCH_LINES)
        try:
            await self._post("access", encode(batch))
        except RefusedError as error:
            log.error("%s", error)
            buffer.lose(len(batch.lines) + batch.lost)
        except asyncio.CancelledError:
            buffer.give_back(batch)
            raise
        except UNREACHABLE:
            buffer.give_back(batch)
            await asyncio.sleep(RETRY_AFTER)

    async def deliver_rest(self, buffer: AccessBuffer, router: str) -> None:
        """Deliver what is left when the router ends, if the controller takes it at once."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY_AFTER):
                while buffer.filled.is_set():
                    await self._deliver(buffer, router)

    async def _post(self, what: str, body: bytes) -> bytes:
        """Post and return the answer. Raises RefusedError for 400, 413 and 422, ClientError for other failures."""
        url = f"{self._base}/{what}"
        async with self._session.post(url, data=body, headers=self._headers, timeout=TIMEOUT) as response:
            answer = await response.read()
            if response.status in (400, 413, 422):
                raise RefusedError(f"the controller refused {what} ({response.status}): {answer[:300]!r}")
            response.raise_for_status()
            return answer

    @contextlib.contextmanager
    def _noting(self):  # type: ignore[no-untyped-def]
        """Turn a failure to reach the controller into one log line per outage."""
        try:
            yield
            self._complained = False
        except (*UNREACHABLE, RefusedError, ValueError) as error:
            if not self._complained:
                log.warning(
                    "the controller does not take reports: %s; trying again", error or type(error).__name__
                )
            self._complained = True
