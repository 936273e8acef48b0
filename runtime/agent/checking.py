"""One instance's health over time.

In: its check and the answers.  Out: healthy, sick, or a judgement that ends the run. The thresholds are pure.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from runtime.agent.health import Problem
from runtime.model import HealthCheck, HealthKind

BOOT_POLL_SECONDS = 0.1
BOOT_COMMAND_SECONDS = 0.5  # a command is a process in the container: ten a second would be its load


class Verdict(StrEnum):
    """Why a run must end."""

    LATE = "late"  # it did not become healthy in time
    DEAD = "dead"  # its check failed as often as the liveness threshold says


@dataclass(frozen=True)
class Judgement:
    """A verdict, and what the last check found."""

    verdict: Verdict
    problem: Problem | None = None


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
    probe: Callable[[], Awaitable[Problem | None]]
    healthy: Callable[[], None]
    sick: Callable[[Problem], None]
    started_at: float

    async def run(self, *, booting: bool, steady: bool) -> Judgement:
        """Return when the run must end. `steady`: nothing can be asked, running on is all."""
        if booting:
            if steady:
                await asyncio.sleep(self.check.steady_seconds)
            elif late := await self._boots():
                return late
            self.healthy()
        if steady:
            await asyncio.Event().wait()
        return await self._watch()

    async def _boots(self) -> Judgement | None:
        """None: it is healthy."""
        counter, problem = Counter(self.check), None
        deadline = self.started_at + max(self.check.start_timeout, self.check.start_period)
        pause = BOOT_COMMAND_SECONDS if self.check.kind is HealthKind.COMMAND else BOOT_POLL_SECONDS
        while time.time() < deadline:
            problem = await self.probe()
            if counter.note(problem is None, 0.0) is News.HEALTHY:
                return None
            await asyncio.sleep(pause)
        return Judgement(Verdict.LATE, problem)

    async def _watch(self) -> Judgement:
        counter = Counter(self.check)
        while True:
            await asyncio.sleep(self.check.interval)
            problem = await self.probe()
            news = counter.note(problem is None, time.time() - self.started_at)
            if news is News.DEAD:
                return Judgement(Verdict.DEAD, problem)
            if news is News.HEALTHY:
                self.healthy()
            elif news is News.SICK and problem:
                self.sick(problem)
