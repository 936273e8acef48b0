"""What is asked for on this host itself, beside what a controller wants.

In: instances started by hand, instances held by hand, limits changed by hand.  Out: what this host must run, whole.
"""

from __future__ import annotations

import msgspec

from runtime.agent.live_limits import merged
from runtime.model import InstanceSpec, Limits, LimitsChange, Struct, WantedState


class Local(Struct):
    """`held`: ids that stay stopped until they are started by hand, whoever wants them."""

    instances: tuple[InstanceSpec, ...] = ()
    held: tuple[str, ...] = ()

    def ids(self) -> frozenset[str]:
        return frozenset(spec.container.id for spec in self.instances)

    def having(self, spec: InstanceSpec) -> Local:
        others = tuple(one for one in self.instances if one.container.id != spec.container.id)
        return msgspec.structs.replace(self, instances=(*others, spec))

    def without(self, id_: str) -> Local:
        return Local(
            instances=tuple(one for one in self.instances if one.container.id != id_),
            held=tuple(one for one in self.held if one != id_),
        )

    def holding(self, id_: str, *, held: bool) -> Local:
        others = tuple(one for one in self.held if one != id_)
        return msgspec.structs.replace(self, held=(*others, id_) if held else others)


def whole(wanted: WantedState, local: Local) -> WantedState:
    """All that this host must run. The controller's word counts where both speak of one id. Pure."""
    theirs = {spec.container.id for spec in wanted.instances}
    mine = tuple(spec for spec in local.instances if spec.container.id not in theirs)
    running = tuple(spec for spec in (*wanted.instances, *mine) if spec.container.id not in local.held)
    return msgspec.structs.replace(wanted, instances=running)


def changed(limits: Limits, change: LimitsChange) -> Limits:
    """`limits` with what `change` names. Pure."""
    cores = limits.cpu_cores if change.cpu_cores is None else (change.cpu_cores or None)
    wanted = Limits(
        memory_bytes=limits.memory_bytes if change.memory_bytes is None else change.memory_bytes,
        cpu_shares=limits.cpu_shares if change.cpu_shares is None else change.cpu_shares,
        cpu_cores=cores,
        pids=limits.pids if change.pids is None else change.pids,
    )
    return merged(limits, wanted)


def with_limits(wanted: WantedState, id_: str, limits: Limits) -> WantedState:
    """A wanted state in which one instance has other limits. Pure."""
    return msgspec.structs.replace(
        wanted,
        instances=tuple(limited(one, limits) if one.container.id == id_ else one for one in wanted.instances),
    )


def limited(spec: InstanceSpec, limits: Limits) -> InstanceSpec:
    container = msgspec.structs.replace(spec.container, limits=limits)
    return msgspec.structs.replace(spec, container=container)
