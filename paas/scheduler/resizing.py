"""Which instances become another size while they run, instead of being replaced.

In: a process type, what runs of it, the hosts.  Out: the instances that fit where they are, and the hosts then. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from paas.scheduler import placement
from paas.scheduler.model import HostView, InstanceView, Process


def can_become(one: InstanceView, process: Process) -> bool:
    """Nothing but the size differs, and its host has not refused that."""
    same = bool(process.base) and one.base == process.base and one.type == process.type
    return same and one.template != process.template and not one.refused


def choose(
    hosts: Sequence[HostView], running: Iterable[InstanceView], process: Process, count: int
) -> tuple[list[InstanceView], list[HostView]]:
    """Choose at most `count` instances whose hosts have room for what they become, healthy ones first."""
    chosen: list[InstanceView] = []
    after = list(hosts)
    able = (one for one in running if can_become(one, process))
    for one in sorted(able, key=lambda one: (not one.up, one.number)):
        if len(chosen) >= count:
            break
        grown = placement.grow(after, one.host, process.memory_bytes - one.memory_bytes)
        if grown is not None:
            after = grown
            chosen.append(one)
    return chosen, after
