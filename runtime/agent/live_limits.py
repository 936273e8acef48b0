"""Which limits can change while a container runs.

In: `Limits` in force and wanted.  Out: those to put in force now, or nothing. Pure.

The writable layer, /tmp and the number of open files are fixed when a container is made: they change at its next start.
"""

from __future__ import annotations

import msgspec

from runtime.model import InstanceSpec, Limits


def merged(in_force: Limits, wanted: Limits) -> Limits:
    """`in_force` with what can change at once taken from `wanted`."""
    return msgspec.structs.replace(
        in_force,
        memory_bytes=wanted.memory_bytes,
        cpu_shares=wanted.cpu_shares,
        cpu_cores=wanted.cpu_cores,
        pids=wanted.pids,
    )


def to_apply(in_force: Limits, wanted: Limits) -> Limits | None:
    """What to put in force now, None when that is so already."""
    change = merged(in_force, wanted)
    return change if change != in_force else None


def taken_over(old: InstanceSpec, new: InstanceSpec) -> InstanceSpec:
    """A known id with another spec: its limits count at once, and its environment, which may speak of them, from the
    next start on. Nothing else of an instance ever changes."""
    container = msgspec.structs.replace(old.container, limits=new.container.limits, env=new.container.env)
    return msgspec.structs.replace(old, container=container)
