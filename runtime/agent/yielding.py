"""Who takes the most of busy processors weighs less, as long as somebody is there whom that helps.

In: what each container used since the last look, and how idle the host was.  Out: weights, put in force.

A weight decides how much one gets, and by it how soon: the scheduler lets nobody run who is ahead of the others, and
who has just answered one of several small packets is ahead of a busy neighbour of the same weight, which then keeps
the processor up to the next tick. With less weight the busy one loses nothing but what somebody else wants, and all
who yield weigh among each other what they did before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.agent.calls import EngineCalls
from runtime.container.port import Strain
from runtime.model import ContainerSpec

PART = 16  # what one who yields keeps of its weight is one of so many parts
BUSY = 0.1  # processors are busy when less of their time was idle
SPARE = 0.1  # of what all used: the greatest users are those who would have to give it
KEPT_LOOKS = 15  # half a minute: nobody's weight goes up and down with each look
_LEAST_SHARES = 2
_STAT = Path("/proc/stat")


@dataclass(frozen=True)
class Use:
    """What a container used, in processors, and its weight."""

    id: str
    cores: float
    shares: int


def level(uses: Collection[Use], spare: float = SPARE) -> float:
    """Return the most processors by share that each could have had, with a part of what all used left over: who used
    less has it all, the others share the rest by their weights. Pure."""
    left, weight = sum(one.cores for one in uses) * (1 - spare), sum(one.shares for one in uses)
    for one in sorted(uses, key=lambda one: one.cores / one.shares):
        if one.cores * weight > left * one.shares:
            break
        left, weight = left - one.cores, weight - one.shares
    return left / weight if weight else 0.0


def over(uses: Collection[Use]) -> frozenset[str]:
    """Return those who used more than the level, while another used less than half of it. Pure."""
    most = level(uses)
    if not any(one.cores < most * one.shares / 2 for one in uses):
        return frozenset()
    return frozenset(one.id for one in uses if one.cores > most * one.shares)


def decide(yielding: Mapping[str, int], uses: Collection[Use], idle: float) -> dict[str, int]:
    """Return who yields from now on, with the number of looks for which it goes on to when nothing more is seen.
    `idle`: the part of the processors' time that nobody wanted. Pure."""
    now = over(uses) if idle < BUSY else frozenset()
    kept = {id_: looks - 1 for id_, looks in yielding.items() if looks > 1}
    return {**kept, **dict.fromkeys(now, KEPT_LOOKS)}


def less(shares: int) -> int:
    """Return the weight of one who yields. Pure."""
    return max(_LEAST_SHARES, shares // PART)


def parse_times(text: str) -> tuple[int, int]:
    """Return the idle and the whole time of all processors, of /proc/stat. Time that a hypervisor took is not idle."""
    numbers = [int(word) for word in text.partition("\n")[0].split()[1:9]]
    return numbers[3] + numbers[4], sum(numbers)


class Yielding:
    """Weighs containers anew at each look. What an earlier agent left is put right at the first."""

    def __init__(self, calls: EngineCalls) -> None:
        self._calls = calls
        self._yielding: dict[str, int] = {}
        self._first = True
        self._times = (0, 0)

    async def look(self, strains: Collection[Strain], specs: Mapping[str, ContainerSpec]) -> None:
        before, idle = self._yielding, self._idle()
        cores = {one.id: one.cores for one in strains}
        uses = [
            Use(id_, cores.get(id_, 0.0), spec.limits.cpu_shares)
            for id_, spec in specs.items()
            if not spec.bundle  # its own config may say another weight than its limits
        ]
        here = {one.id: one.shares for one in uses}
        looked = {id_: looks for id_, looks in decide(before, uses, idle).items() if id_ in here}
        ended = (here.keys() if self._first else before.keys()) - looked.keys()
        self._yielding, self._first = looked, False
        for id_ in ended & here.keys():
            await self._calls.weigh(id_, here[id_])
        for id_ in looked:  # each time: a resize writes the whole weight
            await self._calls.weigh(id_, less(here[id_]))

    def _idle(self) -> float:
        """Return the part of the time since the last look in which processors were idle; all of it at the first."""
        before, self._times = self._times, parse_times(_STAT.read_text())
        return (self._times[0] - before[0]) / max(1, self._times[1] - before[1]) if before[1] else 1.0
