"""A steady stream of requests, open loop: a slow answer never makes the next request wait.

In: a port, a host name and a rate.  Out: every answer counted, every failure kept with its time and reason.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType

import aiohttp

TIMEOUT = 20.0


@dataclass
class Load:
    """Use as a context manager: requests flow between enter and exit. A failure is anything but a 200."""

    port: int
    host: str
    rate: float = 200.0
    path: str = "/"
    address: str = "127.0.0.1"
    bodies: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    sent: int = 0
    slowest: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Load:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        assert self._thread is not None
        self._thread.join(TIMEOUT + 10)

    def summary(self) -> str:
        shown = "\n".join(self.failures[:20])
        return f"{len(self.failures)} of {self.sent} requests failed, slowest {self.slowest:.2f} s\n{shown}"

    async def _run(self) -> None:
        # half of the requests on kept-alive connections, half on fresh ones: both are what clients do
        kept = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=32))
        fresh = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
        running: set[asyncio.Task[None]] = set()
        began = time.monotonic()
        async with kept, fresh:
            while not self._stop.is_set():
                session = kept if self.sent % 2 else fresh
                task = asyncio.create_task(self._one(session, time.monotonic() - began))
                running.add(task)
                task.add_done_callback(running.discard)
                self.sent += 1
                await asyncio.sleep(max(0.0, began + self.sent / self.rate - time.monotonic()))
            if running:
                await asyncio.wait(running, timeout=TIMEOUT)

    async def _one(self, session: aiohttp.ClientSession, at: float) -> None:
        began = time.monotonic()
        url = f"http://{self.address}:{self.port}{self.path}"
        try:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT)
            async with session.get(url, headers={"Host": self.host}, timeout=timeout) as answer:
                text = await answer.text()
                self.bodies[text[:100]] += 1
                if answer.status != 200:
                    self.failures.append(f"{at:.2f} s: status {answer.status}: {text[:200]!r}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.failures.append(f"{at:.2f} s: {type(error).__name__}: {error}")
        self.slowest = max(self.slowest, time.monotonic() - began)
