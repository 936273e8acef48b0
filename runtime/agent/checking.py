"""One instance's health over time.

In: its check and the answers.  Out: healthy, sick, or a verdict that ends the run. The thresholds are pure.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from runtime.model import HealthCheck, HealthKind

BOOT_POLL_SECONDS = 0.1
BOOT_COMMAND_SECONDS = 0.5  # a command is a process in the container: ten a second would be its load


class Verdict(StrEnum):
    """Why a run must end."""

    LATE = "late"  # it did not become healthy in time
    DEAD = "dead"  # its check failed as often as the liveness threshold says


class News(StrEnum):
    HEALTHY = "healthy"
    SICK = "sick"
    DEAD = "dead"


@dataclass
class Counter:
    """Successes and failures in a row against a check's thresholds."""

    check: HealthCheck
    passed: int = 0
    failed: int = 0

    def note(self, ok: bool, age: float) -> News | None:
        """Take one answer, `age` seconds after the start; return what it means, None for nothing new."""
        if ok:
            self.passed, self.failed = self.passed + 1, 0
            return News.HEALTHY if self.passed >= self.check.healthy_threshold else None
        self.passed = 0
        if age < self.check.start_period:
            return None
        self.failed += 1
        if 0 < self.check.restart_threshold <= self.failed:
            return News.DEAD
        return News.SICK if self.failed >= self.check.unhealthy_threshold else None


@dataclass(frozen=True)
class Checking:
    """`probe` asks once; `healthy` and `sick` are told what came of it, as often as it does."""

    check: HealthCheck
    probe: Callable[[], Awaitable[bool]]
    healthy: Callable[[], None]
    sick: Callable[[], None]
    started_at: float

    async def run(self, *, booting: bool, steady: bool) -> Verdict:
        """Return when the run must end. `steady`: nothing can be asked, running on is all."""
        if booting:
            if steady:
                await asyncio.sleep(self.check.steady_seconds)
            elif not await self._boots():
                return Verdict.LATE
            self.healthy()
        if steady:
            await asyncio.Event().wait()
        await self._watch()
        return Verdict.DEAD

    async def _boots(self) -> bool:
        counter = Counter(self.check)
        deadline = self.started_at + max(self.check.start_timeout, self.check.start_period)
        pause = BOOT_COMMAND_SECONDS if self.check.kind is HealthKind.COMMAND else BOOT_POLL_SECONDS
        while time.time() < deadline:
            if counter.note(await self.probe(), 0.0) is News.HEALTHY:
                return True
            await asyncio.sleep(pause)
        return False

    async def _watch(self) -> None:
        counter = Counter(self.check)
        while True:
            await asyncio.sleep(self.check.interval)
            news = counter.note(await self.probe(), time.time() - self.started_at)
            if news is News.DEAD:
                return
            if news is News.HEALTHY:
                self.healthy()
            elif news is News.SICK:
                self.sick()
