"""The scheduler, driven through a simulated world: hosts and routers that obey, crash and answer late."""

from __future__ import annotations

import dataclasses
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paas.scheduler.model import (
    Advance,
    CommandState,
    DeploymentView,
    Drain,
    Fail,
    Forget,
    HostView,
    InstanceView,
    Phase,
    Process,
    ReleaseView,
    Resize,
    RunCommand,
    Snapshot,
    Start,
    Stop,
    Wanted,
)
from paas.scheduler.plan import plan

pytestmark = pytest.mark.unit

MIB = 1024**2
APP = uuid4()


def host(free: int = 4096, *, ready: bool = True, lost: bool = False) -> HostView:
    return HostView(uuid4(), ready, lost, free * MIB, 0)


def release(version: int, template: str, memory: int = 512, **quantities: int) -> ReleaseView:
    size = "" if memory == 512 else f":{memory}"
    processes = tuple(
        Process(
            type_, quantity, f"{template}:{type_}{size}", memory * MIB, type_ == "web", f"{template}:{type_}"
        )
        for type_, quantity in sorted(quantities.items())
    )
    return ReleaseView(uuid4(), version, processes)


def deployment(target: ReleaseView, phase: Phase = Phase.START, command: CommandState = CommandState.ABSENT):
    return DeploymentView(uuid4(), target, phase, 0.0, command)


class World:
    """Applies plans as the shell does, and lets time pass."""

    def __init__(self, current: ReleaseView | None, hosts: list[HostView] | None = None) -> None:
        self.current = current
        self.previous: ReleaseView | None = (
            None  # until a deployment is done its instances may still be there
        )
        self.deployment: DeploymentView | None = None
        self.hosts = hosts if hosts is not None else [host()]
        self.instances: dict[UUID, InstanceView] = {}
        self.now = 0.0
        self.failed: Fail | None = None
        self.least_up = 10**9
        self.resized: list[UUID] = []

    def used(self, on: UUID, memory: int) -> None:
        """A host keeps its promises: it is never asked for more than it has."""
        self.hosts = [
            dataclasses.replace(one, free_bytes=one.free_bytes - memory) if one.id == on else one
            for one in self.hosts
        ]
        assert all(one.free_bytes >= 0 for one in self.hosts)

    def snapshot(self) -> Snapshot:
        return Snapshot(APP, self.current, self.deployment, tuple(self.instances.values()), tuple(self.hosts))

    def step(self) -> int:
        decided = plan(self.snapshot(), self.now)
        for action in decided.actions:
            self._apply(action)
        self.least_up = min(self.least_up, self.serving())
        return len(decided.actions)

    def settle(self) -> None:
        """Plan until nothing is left, with hosts and routers answering everything at once."""
        quiet = 0
        for _ in range(60):
            self.now += 1
            quiet = 0 if self.step() else quiet + 1
            self.hosts_obey()
            if quiet == 2:
                return
        raise AssertionError(f"the plan never ends: {plan(self.snapshot(), self.now)}")

    def hosts_obey(self) -> None:
        for one in list(self.instances.values()):
            if one.wanted is Wanted.RUN and not one.failure:
                self.change(one.id, up=True)
            elif one.wanted is Wanted.DRAIN:
                self.change(one.id, drained=True)
            elif one.wanted is Wanted.STOP:
                self.change(one.id, gone=True, up=False)
        if self.deployment and self.deployment.phase is Phase.CUTOVER:
            self.deployment = dataclasses.replace(self.deployment, routers_ready=True)

    def change(self, instance: UUID, **values: object) -> None:
        self.instances[instance] = dataclasses.replace(self.instances[instance], **values)

    def process_of(self, template: str) -> Process:
        target = self.deployment.release if self.deployment else None
        every = [p for one in (self.current, self.previous, target) if one for p in one.processes]
        return next(process for process in every if process.template == template)

    def serving(self) -> int:
        """Healthy web instances that take new requests: of the current release, or old ones not yet drained."""
        hidden = {p.template for p in self.deployment.release.processes} if self._before_cutover() else set()
        known = {p.template for p in self.current.processes} if self.current else set()
        return sum(
            one.type == "web"
            and one.up
            and one.wanted is Wanted.RUN
            and (one.template not in hidden or one.template in known)
            for one in self.instances.values()
        )

    def _before_cutover(self) -> bool:
        return self.deployment is not None and self.deployment.phase in {Phase.RELEASE, Phase.START}

    def count(self, type_: str, template: str | None = None) -> int:
        return sum(
            one.type == type_ and one.wanted is Wanted.RUN and (template is None or one.template == template)
            for one in self.instances.values()
        )

    def _apply(self, action: object) -> None:
        match action:
            case Start():
                identity = uuid4()
                self.instances[identity] = InstanceView(
                    identity,
                    action.type,
                    action.number,
                    action.template,
                    action.host,
                    Wanted.RUN,
                    self.now,
                    False,
                    base=self.process_of(action.template).base,
                    memory_bytes=self.process_of(action.template).memory_bytes,
                )
                self.used(action.host, self.process_of(action.template).memory_bytes)
            case Resize():
                one, process = self.instances[action.instance], self.process_of(action.template)
                assert one.base == process.base and not one.refused
                self.used(one.host, process.memory_bytes - one.memory_bytes)
                self.resized.append(one.id)
                self.change(one.id, template=process.template, memory_bytes=process.memory_bytes)
            case Drain(instance, _):
                self.change(instance, wanted=Wanted.DRAIN, wanted_since=self.now)
            case Stop(instance, _):
                self.change(instance, wanted=Wanted.STOP, wanted_since=self.now)
            case Forget(instance, _):
                self.used(self.instances[instance].host, -self.instances[instance].memory_bytes)
                del self.instances[instance]
            case Advance(_, to, _):
                assert self.deployment
                self.deployment = dataclasses.replace(self.deployment, phase=to, phase_since=self.now)
                if to is Phase.CUTOVER:
                    self.previous, self.current = self.current, self.deployment.release
                elif to is Phase.DONE:
                    self.deployment = self.previous = None
            case Fail():
                assert self.deployment
                self.failed = action
                templates = {process.template for process in self.deployment.release.processes}
                known = {process.template for process in self.current.processes} if self.current else set()
                for one in list(self.instances.values()):
                    if one.template in templates - known:
                        self.change(one.id, wanted=Wanted.STOP, wanted_since=self.now)
                self.deployment = None
            case RunCommand():
                assert self.deployment
                self.deployment = dataclasses.replace(self.deployment, command=CommandState.RUNNING)


def running_world(web: int = 2, worker: int = 0) -> World:
    world = World(release(1, "a", web=web, worker=worker))
    world.settle()
    world.least_up = 10**9
    return world


def test_first_deploy_starts_then_cuts_over_then_is_done() -> None:
    world = World(None)
    target = release(1, "a", web=1)
    world.deployment = deployment(target)
    world.step()
    assert world.current is None, "nothing serves before the new instance is up"
    world.settle()
    assert world.current == target
    assert world.deployment is None
    assert world.count("web") == 1


def test_second_plan_is_empty() -> None:
    world = running_world()
    assert plan(world.snapshot(), world.now).actions == ()


def test_deploy_keeps_the_old_release_serving_until_the_new_one_is_up() -> None:
    world = running_world(web=2)
    world.deployment = deployment(release(2, "b", web=2))
    world.settle()
    assert world.least_up >= 2
    assert world.count("web", "b:web") == 2
    assert world.count("web") == 2


def test_all_process_types_cut_over_together() -> None:
    world = running_world(web=1, worker=1)
    old = world.current
    world.deployment = deployment(release(2, "b", web=1, worker=1))
    world.step()
    web = next(one for one in world.instances.values() if one.template == "b:web")
    world.change(web.id, up=True)
    world.step()
    assert world.current == old, "the worker is not up yet, so web must not switch alone"
    assert world.count("worker", "a:worker") == 1


def test_crash_at_start_fails_the_deployment_and_leaves_the_old_release() -> None:
    world = running_world(web=1)
    old = world.current
    world.deployment = deployment(release(2, "b", web=1))
    world.step()
    fresh = next(one for one in world.instances.values() if one.template == "b:web")
    world.change(fresh.id, failure="exited with status 1", failure_id="app_crashed")
    world.settle()
    assert world.failed is not None
    assert world.failed.reason == "web.1: exited with status 1"
    assert world.current == old
    assert world.count("web", "a:web") == 1
    assert world.count("web", "b:web") == 0
    assert world.least_up >= 1


def test_never_up_fails_after_the_start_timeout() -> None:
    world = running_world(web=1)
    world.deployment = deployment(release(2, "b", web=1))
    world.step()
    world.now = 301.0
    world.step()
    assert world.failed is not None
    assert world.failed.error_id == "start_timeout"


def test_release_command_runs_once_before_anything_starts() -> None:
    world = running_world(web=1)
    world.deployment = deployment(release(2, "b", web=1), Phase.RELEASE, CommandState.WAITING)
    world.step()
    assert world.deployment.command is CommandState.RUNNING
    assert world.step() == 0
    assert world.count("web", "b:web") == 0
    world.deployment = dataclasses.replace(world.deployment, command=CommandState.SUCCEEDED)
    world.settle()
    assert world.count("web", "b:web") == 1


def test_failed_release_command_fails_the_deployment() -> None:
    world = running_world(web=1)
    world.deployment = deployment(release(2, "b", web=1), Phase.RELEASE, CommandState.FAILED)
    world.step()
    assert world.failed is not None
    assert world.failed.error_id == "release_command_failed"
    assert world.count("web", "b:web") == 0


def test_scaling_touches_nothing_that_runs() -> None:
    world = running_world(web=1)
    before = {one.id for one in world.instances.values()}
    world.deployment = deployment(release(2, "a", web=5), Phase.RELEASE)
    world.settle()
    assert world.count("web") == 5
    assert before <= set(world.instances)
    world.deployment = deployment(release(3, "a", web=2), Phase.RELEASE)
    world.settle()
    assert world.count("web") == 2
    assert before <= set(world.instances), "the oldest numbers stay"
    assert world.least_up >= 1


def test_scale_to_zero_and_back() -> None:
    world = running_world(web=1)
    world.deployment = deployment(release(2, "a", web=0), Phase.RELEASE)
    world.settle()
    assert not world.instances
    world.deployment = deployment(release(3, "a", web=1), Phase.RELEASE)
    world.settle()
    assert world.count("web") == 1


def test_a_stale_instance_serves_until_its_replacement_is_up() -> None:
    world = running_world(web=1)
    (old,) = world.instances
    world.change(old, template="stale:1", base="")
    world.step()
    assert world.instances[old].wanted is Wanted.RUN
    world.settle()
    assert old not in world.instances
    assert world.least_up >= 1


def test_instances_of_a_lost_host_start_elsewhere() -> None:
    world = World(release(1, "a", web=2), [host(), host()])
    world.settle()
    lost = world.hosts[0].id
    world.hosts[0] = dataclasses.replace(world.hosts[0], lost=True, ready=False)
    world.settle()
    assert world.count("web") == 2
    assert all(one.host != lost for one in world.instances.values() if one.wanted is Wanted.RUN)


def test_the_only_host_being_silent_stops_nothing() -> None:
    world = running_world(web=1)
    world.hosts[0] = dataclasses.replace(world.hosts[0], ready=False)
    assert plan(world.snapshot(), world.now).actions == ()


def test_spread_over_hosts() -> None:
    world = World(release(1, "a", web=4), [host(), host()])
    world.settle()
    per_host = [sum(one.host == h.id for one in world.instances.values()) for h in world.hosts]
    assert per_host == [2, 2]


def test_instances_go_only_where_what_they_need_is_offered() -> None:
    able, roomy = host(free=2048), host(free=8192)
    able = dataclasses.replace(able, offers=frozenset({"runtime crun", "runtime runsc"}))
    roomy = dataclasses.replace(roomy, offers=frozenset({"runtime crun"}))
    world = World(None, [roomy, able])
    target = dataclasses.replace(release(1, "a", web=2), needs=frozenset({"runtime runsc"}))
    world.deployment = deployment(target)
    starts = [action for action in plan(world.snapshot(), 0.0).actions if isinstance(action, Start)]
    assert [start.host for start in starts] == [able.id, able.id]


def test_what_no_host_offers_fails_in_words() -> None:
    offers = frozenset({"runtime crun", "seccomp mine"})
    world = World(None, [dataclasses.replace(host(), offers=offers), host(ready=False)])
    needs = frozenset({"runtime runsc", "seccomp mine"})
    world.deployment = deployment(dataclasses.replace(release(1, "a", web=1), needs=needs))
    assert plan(world.snapshot(), 0.0).actions == ()
    world.now = 301.0
    world.step()
    assert world.failed is not None
    assert world.failed.reason.startswith("no host that is ready has the runtime runsc: install it on one")


def test_no_room_fails_in_words_after_the_deadline() -> None:
    world = World(None, [host(free=100)])
    world.deployment = deployment(release(1, "a", web=1))
    decided = plan(world.snapshot(), 0.0)
    assert decided.actions == ()
    assert decided.wake_at == 5.0
    world.now = 301.0
    world.step()
    assert world.failed is not None
    assert world.failed.error_id == "no_capacity"


def test_drain_ends_at_its_deadline_when_no_router_says_so() -> None:
    world = running_world(web=2)
    world.deployment = deployment(release(2, "a", web=1), Phase.RELEASE)
    for _ in range(3):
        world.step()
    draining = [one for one in world.instances.values() if one.wanted is Wanted.DRAIN]
    assert len(draining) == 1
    assert plan(world.snapshot(), world.now + 10).wake_at == draining[0].wanted_since + 30
    late = plan(world.snapshot(), world.now + 31)
    assert any(isinstance(action, Stop) for action in late.actions)


def ids(world: World) -> set[UUID]:
    return {one.id for one in world.instances.values() if one.wanted is Wanted.RUN}


def resized_world(memory: int, free: int = 4096, web: int = 2) -> tuple[World, set[UUID]]:
    world = World(release(1, "a", web=web), [host(free=free)])
    world.settle()
    world.least_up = 10**9
    before = ids(world)
    world.deployment = deployment(release(2, "a", memory=memory, web=web), Phase.RELEASE)
    return world, before


@pytest.mark.parametrize("memory", [256, 1024])
def test_another_size_is_given_to_what_runs(memory: int) -> None:
    world, before = resized_world(memory)
    actions = plan(world.snapshot(), world.now).actions
    assert not any(isinstance(action, Resize) for action in actions), "not before the cut-over"
    world.settle()
    assert ids(world) == before
    assert set(world.resized) == before
    assert world.least_up == 2
    assert world.current is not None and world.current.version == 2


def test_the_reason_says_why_nothing_is_restarted() -> None:
    world, _ = resized_world(1024)
    for _ in range(2):
        world.step()
    reasons = [one.reason for one in plan(world.snapshot(), world.now).actions if isinstance(one, Resize)]
    assert len(reasons) == 2
    assert "nothing of web but its size" in reasons[0]


def test_without_the_room_an_instance_is_replaced_elsewhere() -> None:
    world, before = resized_world(2048, free=1500, web=1)
    world.hosts.append(host(free=2048))
    world.settle()
    assert world.resized == []
    assert not ids(world) & before
    assert world.least_up == 1


def test_as_many_as_have_room_are_resized_and_the_rest_replaced() -> None:
    world, before = resized_world(1024, free=1024 + 512)
    world.hosts.append(host(free=1024))
    world.settle()
    assert len(world.resized) == 1
    assert len(ids(world) & before) == 1
    assert world.least_up == 2


def test_more_of_another_size_starts_only_those_that_are_missing() -> None:
    world = running_world(web=1)
    before = ids(world)
    world.deployment = deployment(release(2, "a", memory=1024, web=3), Phase.RELEASE)
    world.settle()
    assert before < ids(world)
    assert set(world.resized) == before
    assert world.count("web", "a:web:1024") == 3


def test_one_whose_memory_does_not_fit_is_replaced_without_a_gap() -> None:
    world, before = resized_world(256)
    world.settle()
    stubborn = sorted(before)[0]
    world.change(stubborn, refused=True)
    world.settle()
    assert stubborn not in ids(world)
    assert len(ids(world)) == 2
    assert world.least_up == 2
    assert len(world.resized) == 2


def test_another_size_with_other_code_is_a_replacement() -> None:
    world = running_world(web=2)
    before = ids(world)
    world.deployment = deployment(release(2, "b", memory=1024, web=2), Phase.RELEASE)
    world.settle()
    assert world.resized == []
    assert not ids(world) & before


OPERATION = st.one_of(
    st.tuples(st.just("resize"), st.sampled_from([256, 512, 1024, 4096]), st.integers(0, 4)),
    st.tuples(st.just("refuse"), st.integers(0, 9)),
    st.tuples(st.just("deploy"), st.sampled_from("abcd"), st.integers(0, 4), st.integers(0, 3)),
    st.tuples(st.just("scale"), st.integers(0, 5), st.integers(0, 3)),
    st.tuples(st.just("crash"), st.integers(0, 9)),
    st.tuples(st.just("obey")),
    st.tuples(st.just("plan")),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(OPERATION, max_size=25))
def test_any_history_ends_with_exactly_what_is_wanted(history: list[tuple]) -> None:
    world = World(None, [host(free=100_000), host(free=100_000)])
    version = 0
    for operation in history:
        world.now += 1
        match operation:
            case ("deploy", template, web, worker) if world.deployment is None:
                version += 1
                world.deployment = deployment(
                    release(version, template, web=web, worker=worker), Phase.RELEASE
                )
            case ("scale", web, worker) if world.deployment is None and world.current:
                version += 1
                template = world.current.processes[0].template.partition(":")[0]
                world.deployment = deployment(
                    release(version, template, web=web, worker=worker), Phase.RELEASE
                )
            case ("resize", memory, web) if world.deployment is None and world.current:
                version += 1
                template = world.current.processes[0].template.partition(":")[0]
                worker = next(p.quantity for p in world.current.processes if p.type == "worker")
                world.deployment = deployment(
                    release(version, template, memory, web=web, worker=worker), Phase.RELEASE
                )
            case ("refuse", index) if world.resized:
                chosen = world.resized[index % len(world.resized)]
                if chosen in world.instances and world.instances[chosen].wanted is Wanted.RUN:
                    world.change(chosen, refused=True)
            case ("crash", index) if world.instances:
                chosen = list(world.instances)[index % len(world.instances)]
                world.change(chosen, up=False, failure="exited with status 1")
            case ("obey",):
                world.hosts_obey()
            case _:
                world.step()
        quantity = _largest(world)
        assert world.count("web") <= quantity, "never more than both releases together want"
    for one in list(world.instances.values()):
        world.change(one.id, failure="")
    world.settle()
    assert world.deployment is None
    for process in world.current.processes if world.current else ():
        assert world.count(process.type, process.template) == process.quantity
    assert all(one.wanted is Wanted.RUN for one in world.instances.values())
    assert plan(world.snapshot(), world.now).actions == ()


def _largest(world: World) -> int:
    total = 0
    target = world.deployment.release if world.deployment else None
    for one in (world.current, target if target is not world.current else None, world.previous):
        process = one.process("web") if one else None
        total += process.quantity if process else 0
    stale = sum(1 for one in world.instances.values() if one.type == "web" and (one.failure or one.refused))
    return total + stale
