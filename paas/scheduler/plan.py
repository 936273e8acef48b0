"""The one scheduling function.

In: a `Snapshot` of one app and the time.  Out: the `Plan` that brings what runs closer to what is wanted.
Applying a plan and planning again ends in an empty plan; no plan ever drains the last serving instance of a type
before its replacement is up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from paas.scheduler import placement, resizing
from paas.scheduler.model import (
    Action,
    Advance,
    CommandState,
    DeploymentView,
    Drain,
    Fail,
    Forget,
    HostView,
    InstanceView,
    Phase,
    Plan,
    Process,
    ReleaseView,
    Resize,
    RunCommand,
    Snapshot,
    Start,
    Stop,
    Wanted,
)

RETRY_PLACEMENT = 5.0  # seconds until a placement that found no host is tried again


@dataclass
class _Draft:
    """A plan in the making."""

    snapshot: Snapshot
    now: float
    hosts: list[HostView]
    actions: list[Action] = field(default_factory=list)
    wakes: list[float] = field(default_factory=list)
    unplaced: list[str] = field(default_factory=list)

    def finish(self) -> Plan:
        return Plan(tuple(self.actions), min(self.wakes, default=None))


def plan(snapshot: Snapshot, now: float) -> Plan:
    """Return what to do about one app at `now`."""
    draft = _Draft(snapshot, now, list(snapshot.hosts))
    _retire(draft)
    deployment = snapshot.deployment
    if deployment is None:
        _converge(draft, snapshot.current, _running(snapshot.instances, snapshot.hosts))
        return draft.finish()
    _STEPS[deployment.phase](draft, deployment)
    return draft.finish()


def _running(instances: Iterable[InstanceView], hosts: Iterable[HostView]) -> list[InstanceView]:
    """Return the instances that are wanted and whose host is not lost."""
    lost = {host.id for host in hosts if host.lost}
    return [one for one in instances if one.wanted is Wanted.RUN and one.host not in lost]


def _retire(draft: _Draft) -> None:
    """Move what drains towards its end, forget what has ended, replace what a lost host held."""
    snapshot = draft.snapshot
    lost = {host.id for host in snapshot.hosts if host.lost}
    elsewhere = any(host.ready for host in snapshot.hosts)
    for one in snapshot.instances:
        if one.wanted is Wanted.STOP:
            if one.gone:
                draft.actions.append(Forget(one.id, "its host has stopped it"))
        elif one.wanted is Wanted.DRAIN:
            _end_drain(draft, one)
        elif one.host in lost and elsewhere and not one.volumes:  # else it waits for the host that has them
            draft.actions.append(Stop(one.id, "its host is lost"))


def _end_drain(draft: _Draft, one: InstanceView) -> None:
    deadline = one.wanted_since + draft.snapshot.drain_timeout
    if one.drained or not draft.snapshot.routed:
        draft.actions.append(Stop(one.id, "no request in flight"))
    elif draft.now >= deadline:
        draft.actions.append(Stop(one.id, "requests did not end within the drain timeout"))
    else:
        draft.wakes.append(deadline)


def _converge(
    draft: _Draft,
    release: ReleaseView | None,
    running: list[InstanceView],
    handed: frozenset[UUID] = frozenset(),
) -> None:
    """Give every process type of `release` its quantity, out of `running`; retire the rest once replaced.

    Volumes that are `handed` over go to somebody else: nobody is started for them.
    """
    processes = {process.type: process for process in release.processes} if release else {}
    for type_ in sorted({one.type for one in running} | set(processes)):
        process = processes.get(type_)
        mine = [one for one in running if one.type == type_]
        matching = [one for one in mine if process and one.template == process.template and not one.refused]
        quantity = process.quantity if process else 0
        keep = sorted(matching, key=lambda one: (not one.up, one.number))[:quantity]
        if release and process:
            keep += _resize(draft, release, process, mine, quantity - len(keep))
        if release and process and not process.volumes & handed:
            _start_missing(draft, release, process, keep)
        replaced = sum(one.up for one in keep) >= quantity or bool(process and process.volumes)
        routable = process.routable if process else type_ == "web"
        for one in mine:
            if one in keep or (one not in matching and not replaced):
                continue
            reason = "scaled down" if one in matching else "replaced"
            draft.actions.append(_retirement(one, routable, reason))


def _resize(
    draft: _Draft, release: ReleaseView, process: Process, mine: list[InstanceView], missing: int
) -> list[InstanceView]:
    """Have running instances take the size of `process` where that is all they lack and their hosts have the room."""
    chosen, draft.hosts = resizing.choose(draft.hosts, mine, process, missing)
    for one in chosen:
        reason = (
            f"v{release.version} changes nothing of {process.type} but its size, which its host has room for"
        )
        draft.actions.append(Resize(one.id, release.id, process.type, process.template, reason))
    return chosen


def _retirement(one: InstanceView, routable: bool, reason: str) -> Drain | Stop:
    return Drain(one.id, reason) if routable and one.up else Stop(one.id, reason)


def _start_missing(draft: _Draft, release: ReleaseView, process: Process, have: list[InstanceView]) -> None:
    taken = {one.number for one in have}
    free = (number for number in range(1, process.quantity + len(taken) + 1) if number not in taken)
    for _ in range(process.quantity - len(have)):
        if _written(draft.snapshot, process):
            return
        host = placement.choose(draft.hosts, process.memory_bytes, release.needs, process.host)
        if host is None:
            draft.unplaced.append(process.type)
            draft.wakes.append(draft.now + RETRY_PLACEMENT)
            return
        draft.hosts = placement.occupy(draft.hosts, host.id, process.memory_bytes)
        reason = f"v{release.version} wants {process.quantity} of {process.type}"
        draft.actions.append(Start(release.id, process.type, next(free), process.template, host.id, reason))


def _written(snapshot: Snapshot, process: Process) -> bool:
    """Tell whether somebody writes to a volume of this process: it can start when that one is gone, not before."""
    return any(one.volumes & process.volumes and not one.gone for one in snapshot.instances)


def _release_step(draft: _Draft, deployment: DeploymentView) -> None:
    """Run the release command once, with the old release serving."""
    _converge(draft, draft.snapshot.current, _running(draft.snapshot.instances, draft.snapshot.hosts))
    match deployment.command:
        case CommandState.ABSENT | CommandState.SUCCEEDED:
            draft.actions.append(Advance(deployment.id, Phase.START, "no release command is left to run"))
        case CommandState.FAILED:
            draft.actions.append(Fail(deployment.id, "release_command_failed", deployment.command_message))
        case CommandState.WAITING:
            host = placement.choose(draft.hosts, 0, deployment.release.needs, deployment.release.host)
            if host is None:
                draft.wakes.append(draft.now + RETRY_PLACEMENT)
                _fail_without_host(draft, deployment)
            else:
                draft.actions.append(RunCommand(deployment.id, host.id, "the release has a release command"))
        case CommandState.RUNNING:
            pass


def _start_step(draft: _Draft, deployment: DeploymentView) -> None:
    """Start what is new beside what serves; what takes over a volume last, in its place. All up: cut over."""
    snapshot, target = draft.snapshot, deployment.release
    new = _new_templates(snapshot.current, target)
    running = _running(snapshot.instances, snapshot.hosts)
    fresh = [one for one in running if one.template in new]
    handed = frozenset[UUID]().union(*(one.volumes for one in target.processes if one.template in new))
    _converge(draft, snapshot.current, [one for one in running if one.template not in new], handed)
    failed = next((one for one in fresh if one.failure), None)
    if failed is not None:
        reason = f"{failed.type}.{failed.number}: {failed.failure}"
        draft.actions.append(Fail(deployment.id, failed.failure_id or "boot_failed", reason))
        return
    starting = [process for process in target.processes if process.template in new]
    waiting = any([_start_new(draft, target, one, running) for one in starting if not one.volumes])
    if not waiting:  # their writers stop as late as possible
        waiting = any([_take_over(draft, target, one, running) for one in starting if one.volumes])
    if not waiting:
        draft.actions.append(Advance(deployment.id, Phase.CUTOVER, "every new instance is up"))
        return
    _fail_when_overdue(draft, deployment)


def _start_new(draft: _Draft, target: ReleaseView, process: Process, running: list[InstanceView]) -> bool:
    """Start what is missing of a process type of the new release; tell whether it is still to be waited for."""
    mine = _of_target(draft, process, running)
    _start_missing(draft, target, process, mine)
    return sum(one.up for one in mine) < process.quantity


def _of_target(draft: _Draft, process: Process, running: list[InstanceView]) -> list[InstanceView]:
    """Return the instances that are, or will become, of the new release."""
    mine = [one for one in running if one.template == process.template and one.type == process.type]
    fitting, draft.hosts = resizing.choose(draft.hosts, running, process, process.quantity - len(mine))
    return mine + fitting  # those change at the cut-over, when nothing can fail any more


def _take_over(draft: _Draft, target: ReleaseView, process: Process, running: list[InstanceView]) -> bool:
    """The same for one that writes to volumes: whoever else writes to them now is retired first."""
    mine, current = _of_target(draft, process, running), draft.snapshot.current
    for one in running:
        if one.volumes & process.volumes and one not in mine:
            known = current.process(one.type) if current else None
            draft.actions.append(
                _retirement(one, known is not None and known.routable, "its volume goes to the new release")
            )
    _start_missing(draft, target, process, mine)
    return sum(one.up for one in mine) < process.quantity


def _fail_when_overdue(draft: _Draft, deployment: DeploymentView) -> None:
    deadline = deployment.phase_since + draft.snapshot.start_timeout
    if draft.now < deadline:
        draft.wakes.append(deadline)
    elif draft.unplaced:
        _fail_without_host(draft, deployment)
    else:
        reason = f"not every instance was up within {draft.snapshot.start_timeout:.0f} s"
        draft.actions.append(Fail(deployment.id, "start_timeout", reason))


def _fail_without_host(draft: _Draft, deployment: DeploymentView) -> None:
    if draft.now >= deployment.phase_since + draft.snapshot.start_timeout:
        missing = placement.lacking(draft.snapshot.hosts, deployment.release.needs)
        reason = "no host has room for it: add a host, scale down, or choose a smaller size"
        if missing:
            reason = f"no host that is ready has the {missing}: install it on one, or choose another (paas runtime)"
        draft.actions.append(Fail(deployment.id, "no_capacity", reason))


def _new_templates(current: ReleaseView | None, target: ReleaseView) -> set[str]:
    """Return the templates of `target` that the current release does not run with."""
    known = {process.template for process in current.processes if process.quantity} if current else set()
    changed = {p.type for p in target.processes if current and _differs(current.process(p.type), p)}
    return {
        process.template
        for process in target.processes
        if process.quantity and process.template not in known and (current is None or process.type in changed)
    }


def _differs(old: Process | None, new: Process) -> bool:
    return old is None or old.template != new.template


def _cutover_step(draft: _Draft, deployment: DeploymentView) -> None:
    _converge(draft, deployment.release, _running(draft.snapshot.instances, draft.snapshot.hosts))
    if deployment.routers_ready:
        draft.actions.append(Advance(deployment.id, Phase.DRAIN, "every router has it"))


def _drain_step(draft: _Draft, deployment: DeploymentView) -> None:
    running = _running(draft.snapshot.instances, draft.snapshot.hosts)
    _converge(draft, deployment.release, running)
    leaving = any(one.wanted is not Wanted.RUN for one in draft.snapshot.instances)
    if not leaving and not any(isinstance(action, Drain | Stop | Resize) for action in draft.actions):
        draft.actions.append(Advance(deployment.id, Phase.DONE, "nothing of the old release is left"))


_STEPS = {
    Phase.RELEASE: _release_step,
    Phase.START: _start_step,
    Phase.CUTOVER: _cutover_step,
    Phase.DRAIN: _drain_step,
}


def retire_target(snapshot: Snapshot, deployment: DeploymentView) -> tuple[UUID, ...]:
    """Return the instances that exist only because of a deployment that has now failed or been superseded."""
    new = _new_templates(snapshot.current, deployment.release)
    return tuple(one.id for one in snapshot.instances if one.wanted is Wanted.RUN and one.template in new)
