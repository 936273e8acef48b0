"""Which limits a container has run into by now.

In: how it stands to them (`Strain`).  Out: their kinds.
"""

from __future__ import annotations

from runtime.container.port import Strain
from runtime.model import LimitKind

FULL = 0.99  # of a file system: the last blocks may not suffice for the next write


def met(now: Strain) -> tuple[LimitKind, ...]:
    """Return the limits that a container has run into. Pure."""
    kinds = {
        LimitKind.PROCESSES: now.forks_refused > 0,
        LimitKind.MEMORY: now.memory_kills > 0,
        LimitKind.DISK: bool(now.layer_size) and now.layer_used >= now.layer_size * FULL,
        LimitKind.TEMPORARY: bool(now.tmp_size) and now.tmp_used >= now.tmp_size * FULL,
    }
    return tuple(kind for kind, yes in kinds.items() if yes)
