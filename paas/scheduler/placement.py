"""Which host gets the next instance.

In: the hosts as they will be after the placements made so far.  Out: one host, or None when none has room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from paas.scheduler.model import HostView


def choose(
    hosts: Sequence[HostView],
    memory_bytes: int,
    needs: frozenset[str] = frozenset(),
    only: UUID | None = None,
) -> HostView | None:
    """Of the hosts that offer what is needed: spread an app over them first, then prefer the most free memory.

    `only`: the host that has its volumes.
    """
    there = [one for one in hosts if only is None or one.id == only]
    fitting = [one for one in there if one.ready and one.free_bytes >= memory_bytes and needs <= one.offers]
    return min(fitting, key=lambda host: (host.instances_of_app, -host.free_bytes, host.id), default=None)


def grow(hosts: Sequence[HostView], on: UUID, extra_bytes: int) -> list[HostView] | None:
    """Return the hosts with one holding `extra_bytes` more, None when it has no room. Less always fits."""
    host = next((host for host in hosts if host.id == on), None)
    if host is None or (extra_bytes > 0 and host.free_bytes < extra_bytes):
        return None
    grown = replace(host, free_bytes=host.free_bytes - extra_bytes)
    return [grown if one is host else one for one in hosts]


def lacking(hosts: Sequence[HostView], needs: frozenset[str]) -> str:
    """Return what no ready host offers, '' when one offers all of it."""
    ready = [host.offers for host in hosts if host.ready]
    if not ready or any(needs <= offers for offers in ready):
        return ""
    return min((" and ".join(sorted(needs - offers)) for offers in ready), key=len)


def occupy(hosts: Sequence[HostView], chosen: UUID, memory_bytes: int) -> list[HostView]:
    """Return the hosts with `chosen` holding one more instance of `memory_bytes`."""
    return [
        replace(host, free_bytes=host.free_bytes - memory_bytes, instances_of_app=host.instances_of_app + 1)
        if host.id == chosen
        else host
        for host in hosts
    ]
