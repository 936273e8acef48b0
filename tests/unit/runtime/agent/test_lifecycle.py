"""The states of an instance and the words for their changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.agent import phrases
from runtime.agent.lifecycle import TABLE, Event, step
from runtime.model import ContainerSpec, ExitInfo, ExitReason, Rootfs
from runtime.model import InstanceState as State

pytestmark = pytest.mark.unit


def walk(*events: Event) -> list[State]:
    states = [State.PENDING]
    for event in events:
        states.append(step(states[-1], event))
    return states


def test_a_life() -> None:
    assert walk(
        Event.STARTED,
        Event.HEALTHY,
        Event.SICK,
        Event.HEALTHY,
        Event.ENDED,
        Event.RETRY,
        Event.STOP,
        Event.GONE,
    ) == [
        State.PENDING,
        State.STARTING,
        State.UP,
        State.UNHEALTHY,
        State.UP,
        State.CRASHED,
        State.PENDING,
        State.STOPPING,
        State.STOPPED,
    ]


@given(st.lists(st.sampled_from(list(Event)), max_size=30))
def test_once_stopping_nothing_brings_it_back(events: list[Event]) -> None:
    states = walk(Event.STARTED, Event.STOP, *events)
    assert set(states[2:]) <= {State.STOPPING, State.STOPPED}


@given(st.lists(st.sampled_from(list(Event)), max_size=30))
def test_up_is_only_reached_by_a_passing_check(events: list[Event]) -> None:
    states = walk(*events)
    for event, old, new in zip(events, states, states[1:], strict=False):
        if new is State.UP and old is not State.UP:
            assert event is Event.HEALTHY


def test_every_state_but_the_last_can_be_stopped() -> None:
    stoppable = {state for state, event in TABLE if event is Event.STOP}
    assert stoppable == set(State) - {State.STOPPING, State.STOPPED}


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (State.STARTING, State.UP, "State changed from starting to up"),
        (State.UP, State.CRASHED, "State changed from up to crashed"),
        (State.CRASHED, State.PENDING, "State changed from crashed to starting"),
        (State.PENDING, State.STARTING, ""),
        (State.UP, State.STOPPING, ""),
    ],
)
def test_changes_in_words(old: State, new: State, text: str) -> None:
    assert phrases.state_changed(old, new) == text


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (("/bin/sh", "-c", "exec gunicorn 'my app'"), "exec gunicorn 'my app'"),
        (("/bin/bash", "-lc", "npm start"), "npm start"),
        (("python", "my app.py"), "python 'my app.py'"),
    ],
)
def test_the_command_is_shown_as_it_was_written(argv: tuple[str, ...], shown: str) -> None:
    spec = ContainerSpec(id="i", owner="a", name="web.1", rootfs=Rootfs(host=True), argv=argv)
    assert phrases.starting(spec) == f"Starting process with command `{shown}`"


def test_exits_in_words() -> None:
    assert phrases.exited(ExitInfo(reason=ExitReason.EXITED, code=0)) == "Process exited with status 0"
    assert "unknown" in phrases.exited(ExitInfo(reason=ExitReason.LOST))
    started = ExitInfo(reason=ExitReason.NOT_STARTED, message="no such layer")
    assert phrases.exited(started) == "Process could not be started: no such layer"
