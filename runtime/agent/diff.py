"""What to do so that this host runs what it should.

In: the wanted state, what is supervised, what containers exist.  Out: what to start, stop, remove, keep. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from runtime.agent.live_limits import taken_over
from runtime.model import InstanceSpec, InstanceState, WantedState

ENDING = frozenset({InstanceState.STOPPING, InstanceState.STOPPED})


@dataclass(frozen=True)
class Actions:
    """`start`: supervise (adopting a container that runs already). `stop`: supervised but not wanted.
    `orphans`: containers nobody asks for. `keep`: as it should be. `later`: wanted again while it still stops.
    `change`: those of `keep` whose limits or environment are to be others."""

    start: tuple[InstanceSpec, ...] = ()
    stop: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    change: tuple[InstanceSpec, ...] = ()


def diff(
    wanted: WantedState,
    supervised: Mapping[str, InstanceState],
    containers: Collection[str] = (),
    jobs: Collection[str] = (),
    known: Mapping[str, InstanceSpec] = {},
) -> Actions:
    """Compare by id: an id never changes its meaning. Of a different spec under a known id (`known`) the limits and
    the environment are taken over, everything else is ignored."""
    specs = {spec.container.id: spec for spec in wanted.instances}
    gone = InstanceState.STOPPED
    keep = tuple(id_ for id_ in specs if id_ in supervised and supervised[id_] not in ENDING)
    return Actions(
        start=tuple(spec for id_, spec in specs.items() if supervised.get(id_, gone) is gone),
        stop=tuple(id_ for id_, state in supervised.items() if id_ not in specs and state not in ENDING),
        orphans=tuple(
            id_ for id_ in containers if id_ not in specs and id_ not in supervised and id_ not in jobs
        ),
        keep=keep,
        later=tuple(id_ for id_ in specs if supervised.get(id_) is InstanceState.STOPPING),
        change=tuple(
            specs[id_] for id_ in keep if id_ in known and taken_over(known[id_], specs[id_]) != known[id_]
        ),
    )
