"""The states of an instance, as a table.

In: a state and what happened.  Out: the next state. Pure; the supervisor does the I/O.
"""

from __future__ import annotations

from enum import StrEnum

from runtime.model import InstanceState as State


class Event(StrEnum):
    STARTED = "started"  # the process runs
    HEALTHY = "healthy"  # a check passed
    SICK = "sick"  # checks failed as often as the threshold says
    ENDED = "ended"  # the process is gone, or could not be made
    RETRY = "retry"  # the back-off is over
    STOP = "stop"  # no longer wanted
    GONE = "gone"  # nothing of it is left on this host


TABLE: dict[tuple[State, Event], State] = {
    (State.PENDING, Event.STARTED): State.STARTING,
    (State.PENDING, Event.ENDED): State.CRASHED,
    (State.PENDING, Event.STOP): State.STOPPING,
    (State.STARTING, Event.HEALTHY): State.UP,
    (State.STARTING, Event.ENDED): State.CRASHED,
    (State.STARTING, Event.STOP): State.STOPPING,
    (State.UP, Event.SICK): State.UNHEALTHY,
    (State.UP, Event.ENDED): State.CRASHED,
    (State.UP, Event.STOP): State.STOPPING,
    (State.UNHEALTHY, Event.HEALTHY): State.UP,
    (State.UNHEALTHY, Event.ENDED): State.CRASHED,
    (State.UNHEALTHY, Event.STOP): State.STOPPING,
    (State.CRASHED, Event.RETRY): State.PENDING,
    (State.CRASHED, Event.STOP): State.STOPPING,
    (State.STOPPING, Event.GONE): State.STOPPED,
}

RUNNING = frozenset({State.STARTING, State.UP, State.UNHEALTHY})


def step(state: State, event: Event) -> State:
    """The state after `event`. An event that does not fit (late, repeated) leaves the state as it is."""
    return TABLE.get((state, event), state)
