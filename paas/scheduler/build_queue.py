"""Whose build is next, and where it runs.

In: the builds that wait and those that run, with whose they are.  Out: an order that starves nobody. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

Id = TypeVar("Id")
Place = TypeVar("Place")


@dataclass(frozen=True)
class Waiting(Generic[Id]):
    """A build without a place: `owner` of its app, `since` as Unix seconds."""

    id: Id
    owner: object
    since: float


def fair_order(waiting: Iterable[Waiting[Id]], running: Iterable[object]) -> list[Id]:
    """Return the ids of the waiting builds, first the one to start next. `running`: the owner of each running build.

    Whoever has the fewest builds running or further ahead comes first; of these, who has waited longest. So one who
    pushes twenty apps at once fills the free places, and another's single push is next all the same.
    """
    queues: dict[object, deque[Waiting[Id]]] = defaultdict(deque)
    for one in sorted(waiting, key=lambda build: build.since):
        queues[one.owner].append(one)
    served = Counter(running)
    # The position settles equal times: owners need no order of their own.
    heads = [(served[owner], queue[0].since, n, owner) for n, (owner, queue) in enumerate(queues.items())]
    heapify(heads)
    order: list[Id] = []
    while heads:
        count, _, position, owner = heappop(heads)
        order.append(queues[owner].popleft().id)
        if queues[owner]:
            heappush(heads, (count + 1, queues[owner][0].since, position, owner))
    return order


def free_places(limit: int, ready: Iterable[Place], running: Mapping[Place, int], unplaced: int) -> int:
    """Return how many more builds may start: `limit` on each ready host, less those that run or are on their way.

    Without a ready host there are as many places as one would have: whoever takes one waits for a host, and says so.
    """
    rooms = [max(0, limit - running.get(host, 0)) for host in ready] or [limit]
    return max(0, sum(rooms) - unplaced)


def choose_host(limit: int, ready: Mapping[Place, int], running: Mapping[Place, int]) -> Place | None:
    """Return the host with the fewest builds, of these the one with the most memory (`ready`: bytes); None when each
    has `limit` builds."""
    open_ = [host for host in ready if running.get(host, 0) < limit]
    return min(open_, key=lambda host: (running.get(host, 0), -ready[host]), default=None)
