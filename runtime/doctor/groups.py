"""Control groups that belong to no container, and containers that nobody asked for.

In: the platform's control groups.  Out: leftovers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from runtime.container.layout import SHIMS
from runtime.container.unmaking import kill_group
from runtime.doctor.place import Known, Leftover, Place


def look(place: Place, known: Known) -> Iterator[Leftover]:
    parent, cgroups = place.layout.cgroup, place.cgroups
    children = cgroups.children(parent)
    for name in sorted(set(children) - known.containers - {SHIMS}):
        path = place.layout.cgroup_of(name)
        count = len(cgroups.processes(path))
        problem = f"belongs to no container and holds {count} processes"
        yield Leftover("cgroup", path, problem, partial(kill_group, cgroups, path))
    if place.inside is None and not known.containers and cgroups.exists(parent):
        problem = "is left of an agent that was removed"
        yield Leftover("cgroup", parent, problem, partial(kill_group, cgroups, parent))
    if known.asked is not None:
        for container in sorted(known.containers - known.asked):
            yield Leftover(
                "container", container, "exists, but nobody asked for it; a running agent stops it"
            )
