"""What egress rules refused, told in words: to the app's log, as events, in the metrics.

In: the firewall's counts, looked at every second.  Out: for each container a line at once, then one every ten seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runtime.agent.calls import EngineCalls
from runtime.agent.events import Events
from runtime.container.port import Asking, Attempt, Observed
from runtime.logs.hub import LogHub
from runtime.model import EventKind

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
QUIET_SECONDS = 10.0
NAMED = 5  # targets in one line


@dataclass
class Tally:
    """What of one container is not told yet."""

    packets: int = 0
    targets: Counter[str] = field(default_factory=Counter)
    told_at: float = float("-inf")

    def due(self, now: float) -> bool:
        return bool(self.packets or self.targets) and now - self.told_at >= QUIET_SECONDS


def target_of(attempt: Attempt) -> str:
    port = f":{attempt.port}" if attempt.protocol in ("tcp", "udp") else ""
    return f"{attempt.target}{port}/{attempt.protocol}"


def news(before: Mapping[Attempt, int], seen: Iterable[Attempt]) -> list[tuple[Attempt, int]]:
    """Return what was refused since `before`, by how many packets. A count that fell began anew. Pure."""
    found = []
    for attempt in seen:
        earlier = before.get(_place(attempt), 0)
        more = attempt.packets - earlier if attempt.packets >= earlier else attempt.packets
        if more:
            found.append((attempt, more))
    return found


def sentence(tally: Tally) -> str:
    """Return the line for the app's log."""
    named = [target for target, _ in tally.targets.most_common(NAMED)]
    more = len(tally.targets) - len(named)
    where = (
        ", ".join(named) + (f" and {more} more" if more > 0 else "")
        if named
        else "more places than are noted"
    )
    times = f" ({tally.packets} packets)" if tally.packets > 1 else ""
    return f"Egress rules refused {where}{times}"


class Refusals:
    """One task, `run`; also the name server's gate. `totals` counts packets and questions by owner, since the start."""

    def __init__(self, calls: EngineCalls, logs: LogHub, events: Events) -> None:
        self._calls, self._logs, self._events = calls, logs, events
        self._before: dict[Attempt, int] = {}
        self._tallies: dict[str, Tally] = {}  # by address
        self.totals: Counter[str] = Counter()

    def asks(self, caller: str, name: str) -> Asking:
        asking = self._calls.engine.asks(caller, name)
        if asking is Asking.REFUSED:
            tally = self._tallies.setdefault(caller, Tally())
            tally.packets += 1
            if len(tally.targets) < 1000:
                tally.targets[f"the name {name[:253]}"] += 1
        return asking

    async def answered(self, caller: str, name: str, addresses: tuple[str, ...], ttl: int) -> None:
        await self._calls.answered(caller, name, addresses, ttl)

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except Exception as error:  # a bad moment must not end the telling for good
                log.error("what egress rules refused could not be read, trying again: %s", error)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        seen = await self._calls.refused()
        for attempt, packets in news(self._before, seen):
            tally = self._tallies.setdefault(attempt.source, Tally())
            if attempt.target:
                tally.targets[target_of(attempt)] += packets
            else:
                tally.packets += packets
        self._before = {_place(attempt): attempt.packets for attempt in seen}
        now = asyncio.get_running_loop().time()
        if any(tally.due(now) for tally in self._tallies.values()):
            self._tell({one.address: one for one in await self._calls.list() if one.address}, now)

    def _tell(self, containers: Mapping[str, Observed], now: float) -> None:
        for address, tally in tuple(self._tallies.items()):
            found = containers.get(address)
            if found is None:
                del self._tallies[address]
            elif tally.due(now):
                text = sentence(tally)
                self._logs.system(found.id, text)
                self._events.add(
                    EventKind.REFUSED, container=found.id, owner=found.owner, name=found.name, message=text
                )
                self.totals[found.owner] += tally.packets
                self._tallies[address] = Tally(told_at=now)


def _place(attempt: Attempt) -> Attempt:
    """The same attempt whatever its count."""
    return Attempt(
        source=attempt.source, target=attempt.target, protocol=attempt.protocol, port=attempt.port, packets=0
    )
