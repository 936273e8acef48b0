"""What to start, stop and keep: examples, then properties over many states."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.agent.diff import Actions, diff
from runtime.model import ContainerSpec, InstanceSpec, InstanceState, Rootfs, WantedState

pytestmark = pytest.mark.unit
IDS = [f"i{n}" for n in range(6)]


def instance(id: str) -> InstanceSpec:
    return InstanceSpec(
        container=ContainerSpec(id=id, owner="a", name="web.1", rootfs=Rootfs(host=True), argv=("x",))
    )


def wanted(*ids: str) -> WantedState:
    return WantedState(generation=1, instances=tuple(instance(id) for id in ids))


def test_new_ones_start_and_dropped_ones_stop() -> None:
    actions = diff(wanted("a", "b"), {"b": InstanceState.UP, "c": InstanceState.UP})
    assert actions == Actions(start=(instance("a"),), stop=("c",), keep=("b",))


def test_a_crashed_one_is_kept_because_its_supervisor_restarts_it() -> None:
    assert diff(wanted("a"), {"a": InstanceState.CRASHED}) == Actions(keep=("a",))


def test_one_that_stops_already_is_left_alone() -> None:
    states = {"a": InstanceState.STOPPING, "b": InstanceState.STOPPED}
    assert diff(wanted(), states) == Actions()


def test_one_wanted_again_starts_when_it_has_stopped() -> None:
    assert diff(wanted("a"), {"a": InstanceState.STOPPING}) == Actions(later=("a",))
    assert diff(wanted("a"), {"a": InstanceState.STOPPED}) == Actions(start=(instance("a"),))


def test_a_container_nobody_asks_for_is_an_orphan_but_a_job_is_not() -> None:
    actions = diff(wanted("a"), {}, containers=("a", "b", "j"), jobs=("j",))
    assert actions == Actions(start=(instance("a"),), orphans=("b",))


@given(
    st.sets(st.sampled_from(IDS)),
    st.dictionaries(st.sampled_from(IDS), st.sampled_from(list(InstanceState))),
    st.sets(st.sampled_from(IDS)),
)
def test_every_id_gets_at_most_one_action_and_a_second_diff_starts_nothing(
    ids: set[str], states: dict[str, InstanceState], containers: set[str]
) -> None:
    actions = diff(wanted(*sorted(ids)), states, containers)
    started = [spec.container.id for spec in actions.start]
    named = [*started, *actions.stop, *actions.orphans, *actions.keep, *actions.later]
    assert len(named) == len(set(named))
    assert ids <= set(named)
    after = {id: state for id, state in states.items() if id not in started}
    after |= {id: InstanceState.PENDING for id in started}
    after |= {id: InstanceState.STOPPING for id in (*actions.stop, *actions.orphans)}
    again = diff(wanted(*sorted(ids)), after, containers)
    assert (again.start, again.stop, again.orphans) == ((), (), ())
