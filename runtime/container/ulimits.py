"""The resource limits of a container: its wishes, kept within what this host allows its agent.

In: a `ContainerSpec` and the agent's own hard limits.  Out: soft and hard limits for the runtime, and what was cut.
Only CAP_SYS_RESOURCE raises a hard limit, and a container whose limit cannot be set does not start at all.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping

from runtime.kernel import ULIMITS, show_limit, within
from runtime.model import ContainerSpec


def own_ceilings() -> dict[str, int]:
    """Return the hard limits of this process, -1 for none."""
    return {name: resource.getrlimit(getattr(resource, constant(name)))[1] for name in ULIMITS}


def constant(name: str) -> str:
    """Return the limit's name in setrlimit(2)."""
    return f"RLIMIT_{name.upper()}"


def effective(spec: ContainerSpec, ceilings: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return every limit to set, as (soft, hard). Ceilings that are not given do not limit."""
    wished = {"nofile": (spec.limits.nofile, spec.limits.nofile), "core": (0, 0), **spec.ulimits}
    return {
        name: (_cut(soft, ceilings.get(name, -1)), _cut(hard, ceilings.get(name, -1)))
        for name, (soft, hard) in wished.items()
    }


def notes(spec: ContainerSpec, ceilings: Mapping[str, int]) -> tuple[str, ...]:
    """Return a sentence for each wish above what this host allows."""
    return tuple(
        f"The ulimit {name} is {show_limit(ceilings[name])} instead of {show_limit(hard)}: "
        "this host allows its agent no more"
        for name, (_, hard) in spec.ulimits.items()
        if name in ceilings and not within(hard, ceilings[name])
    )


def _cut(value: int, ceiling: int) -> int:
    return value if within(value, ceiling) else ceiling
