"""Who goes on asking for what its limits refuse gets little of the processors until it stops.

In: what each container was refused since the last look.  Out: who is held back, put in force, and sentences about it.

A refused fork copies a whole process before it fails, and a process that is killed for its memory has filled it first:
work of the kernel that gets nobody anywhere, and that nothing interrupts on a kernel without preemption. A weight does
not help against it, as the neighbour waits for its end; so there is less of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from runtime.agent.calls import EngineCalls
from runtime.container.port import Strain
from runtime.model import ContainerSpec

FORKS = 100.0  # refused in a second: no app that only is at its limit asks so often
KILLS = 2.0  # processes stopped for their memory in a second
CORES = 0.02  # what one who is held back gets
KEPT_LOOKS = 15  # half a minute after the last refusal
HELD = (
    f"It goes on asking for what its limits refuse: it is held back to {CORES:.0%} of a processor until half a minute "
    "after it stops"
)
FREED = "It is not held back any more"


@dataclass(frozen=True)
class Refused:
    """What a container was refused since it was created, or between two looks."""

    forks: int = 0
    kills: int = 0


NOTHING = Refused()


def is_rush(refused: Refused, seconds: float) -> bool:
    """Whether so much was refused in that time. Pure."""
    return refused.forks >= FORKS * seconds or refused.kills >= KILLS * seconds


def decide(held: Mapping[str, int], refused: Mapping[str, Refused], seconds: float) -> dict[str, int]:
    """Return who is held back from now on, with the number of looks for which it goes on to when nothing more is
    refused. Who is held back already need only be refused something: it comes to so much less. Pure."""
    kept = {id_: looks - 1 for id_, looks in held.items() if looks > 1}
    again = {id_ for id_, one in refused.items() if id_ in held and one != NOTHING}
    new = {id_ for id_, one in refused.items() if is_rush(one, seconds)}
    return {**kept, **dict.fromkeys(again | new, KEPT_LOOKS)}


class Holding:
    """Looks at what was refused. What an earlier agent left is put right at the first look."""

    def __init__(self, calls: EngineCalls) -> None:
        self._calls = calls
        self._held: dict[str, int] = {}
        self._counted: dict[str, Refused] = {}
        self._older: frozenset[str] | None = None  # than this agent: their past is not news

    async def look(
        self, strains: Collection[Strain], specs: Mapping[str, ContainerSpec], seconds: float
    ) -> dict[str, str]:
        """`seconds`: since the last look. Return what is to be told, by container."""
        here = {id_: spec.limits.cpu_cores for id_, spec in specs.items() if not spec.bundle}
        before = self._held
        free = before.keys() & here.keys() if self._older is not None else here.keys()
        self._older = self._older if self._older is not None else frozenset(here)
        looked = decide(before, self._since(strains), seconds)
        self._held = {id_: looks for id_, looks in looked.items() if id_ in here}
        self._counted = {id_: counted for id_, counted in self._counted.items() if id_ in here}
        freed = free - self._held.keys()
        for id_ in freed:
            await self._calls.hold_back(id_, here[id_])
        for id_ in self._held:  # each time: a resize writes the whole limit
            await self._calls.hold_back(id_, min(CORES, here[id_] or CORES))
        return {
            **dict.fromkeys(self._held.keys() - before.keys(), HELD),
            **dict.fromkeys(freed & before.keys(), FREED),
        }

    def _since(self, strains: Collection[Strain]) -> dict[str, Refused]:
        """Return what each was refused since the last look, or since this agent began."""
        now = {one.id: Refused(one.forks_refused, one.memory_kills) for one in strains}
        then = {
            id_: self._counted.get(id_, one if id_ in (self._older or ()) else NOTHING)
            for id_, one in now.items()
        }
        self._counted = {**self._counted, **now}
        return {id_: _between(then[id_], one) for id_, one in now.items()}


def _between(then: Refused, now: Refused) -> Refused:
    """Less than before: it is another run, with counters of its own."""
    return Refused(max(0, now.forks - then.forks), max(0, now.kills - then.kills))
