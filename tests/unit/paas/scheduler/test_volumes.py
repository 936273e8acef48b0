"""Process types with volumes: on the volumes' host, one writer at a time, each gone before the next starts."""

from __future__ import annotations

import dataclasses
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paas.scheduler.model import CommandState, Phase, Process, ReleaseView, RunCommand, Start, Stop, Wanted
from paas.scheduler.plan import plan

from .test_plan import MIB, World, deployment, host

pytestmark = pytest.mark.unit

DATA = uuid4()
HERE, THERE = host(), host(free=8192)


def release(version: int, template: str, web: int = 1, data: str = "db", db: int = 1) -> ReleaseView:
    """Web processes anywhere, one `db`; `data` says which type writes to the volume ('': none)."""
    processes = tuple(
        Process(
            type_,
            quantity,
            f"{template}{'+' if data == type_ else ''}:{type_}",
            512 * MIB,
            type_ == "web",
            volumes=frozenset({DATA}) if data == type_ else frozenset(),
            host=HERE.id if data == type_ else None,
        )
        for type_, quantity in (("db", db), ("web", web))
    )
    return ReleaseView(uuid4(), version, processes, host=HERE.id if data else None)


class Keeping(World):
    """A world that refuses what a host would refuse: two writers of one volume, or a writer elsewhere."""

    def __init__(self, current: ReleaseView | None) -> None:
        super().__init__(current, [HERE, THERE])

    def _apply(self, action: object) -> None:
        super()._apply(action)
        if isinstance(action, Start):
            one = next(reversed(self.instances.values()))
            if "+" in one.template:
                assert one.host == HERE.id, "its volume is on another host"
                self.change(one.id, volumes=frozenset({DATA}))
        writers = [one for one in self.instances.values() if one.volumes and not one.gone]
        assert len(writers) <= 1, "two of them write to one volume"


def kept() -> Keeping:
    world = Keeping(release(1, "a"))
    world.settle()
    world.least_up = 10**9
    return world


def holder(world: Keeping) -> UUID:
    (one,) = (one.id for one in world.instances.values() if one.volumes)
    return one


def test_the_writer_stops_before_its_successor_starts_and_after_all_others_are_up() -> None:
    world = kept()
    old = holder(world)
    world.deployment = deployment(release(2, "b"))
    world.step()
    assert world.count("web", "b:web") == 1 and world.instances[old].wanted is Wanted.RUN
    world.hosts_obey()
    world.step()
    assert world.instances[old].wanted is Wanted.STOP and world.count("db") == 0
    assert world.count("web", "a:web") == 1, "everything else goes on serving"
    assert world.step() == 0, "it is not gone yet"
    world.hosts_obey()
    world.step()
    assert world.count("db", "b+:db") == 1
    world.settle()
    assert world.failed is None and world.current and world.current.version == 2 and world.least_up >= 1


def test_a_successor_that_does_not_start_gives_the_volume_back() -> None:
    world = kept()
    world.deployment = deployment(release(2, "b"))
    for _ in range(8):
        world.step()
        world.hosts_obey()
        fresh = [one for one in world.instances.values() if one.template == "b+:db"]
        if fresh:
            world.change(fresh[0].id, failure="exited with status 1", failure_id="app_crashed", up=False)
            break
    world.settle()
    assert world.failed is not None and world.failed.error_id == "app_crashed"
    assert world.count("db", "a+:db") == 1 and world.count("web", "a:web") == 1


def test_a_volume_moves_from_one_process_type_to_another() -> None:
    world = kept()
    world.deployment = deployment(release(2, "b", data="web"))
    world.settle()
    assert world.failed is None
    assert world.instances[holder(world)].type == "web" and world.count("db", "b:db") == 1


def test_it_waits_for_its_host_and_goes_nowhere_else() -> None:
    world = kept()
    world.hosts[0] = dataclasses.replace(HERE, ready=False, lost=True)
    world.change(holder(world), gone=True, up=False)
    assert not any(isinstance(one, Start | Stop) for one in plan(world.snapshot(), 1.0).actions)
    world.hosts[0] = HERE
    world.change(holder(world), gone=False, up=True)
    world.settle()
    assert world.count("db") == 1


def test_the_release_command_runs_beside_its_volume() -> None:
    world = kept()
    world.deployment = deployment(release(2, "b"), Phase.RELEASE, CommandState.WAITING)
    (command,) = (one for one in plan(world.snapshot(), 1.0).actions if isinstance(one, RunCommand))
    assert command.host == HERE.id
    world.hosts[0] = dataclasses.replace(HERE, ready=False)
    assert not any(isinstance(one, RunCommand) for one in plan(world.snapshot(), 1.0).actions)


STEP = st.one_of(
    st.tuples(
        st.just("deploy"), st.sampled_from("abcd"), st.integers(0, 3), st.sampled_from(["db", "web", ""])
    ),
    st.tuples(st.just("obey")),
    st.tuples(st.just("step")),
    st.tuples(st.just("crash"), st.integers(0, 9)),
    st.tuples(st.just("hosts"), st.booleans()),
)


@settings(deadline=None)
@given(st.lists(STEP, max_size=30))
def test_whatever_happens_a_volume_has_one_writer_and_the_wish_is_met(history: list[tuple]) -> None:
    world, version = kept(), 1
    for kind, *words in history:
        if kind == "deploy" and world.deployment is None:
            template, web, data = words
            version += 1
            web = min(web, 1) if data == "web" else web
            world.deployment = deployment(release(version, template, web, data), Phase.RELEASE)
        elif kind == "obey":
            world.hosts_obey()
        elif kind == "step":
            world.now += 1
            world.step()
        elif kind == "crash" and world.deployment and world.instances:
            one = list(world.instances.values())[words[0] % len(world.instances)]
            world.change(one.id, failure="exited with status 1", failure_id="app_crashed", up=False)
        elif kind == "hosts":
            world.hosts[0] = dataclasses.replace(HERE, ready=words[0])
    world.hosts[0] = HERE
    for one in list(world.instances.values()):
        world.change(one.id, failure="", failure_id="")
    world.settle()
    assert world.current is not None
    for process in world.current.processes:
        assert world.count(process.type, process.template) == process.quantity
        assert world.count(process.type) == process.quantity
    assert plan(world.snapshot(), world.now).actions == ()
