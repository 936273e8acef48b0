"""The one way back: what hosts and routers report becomes rows, and changes make the planner look again.

In: a report.  Out: rows, hints, and whether the reporter is behind.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from paas.controller.models import Deployment, Host, Instance, OneOff, Router
from paas.controller.queue import enqueue
from paas.controller.selectors.dynos import as_uuid
from paas.controller.selectors.planning import HOST_QUIET, live_routers
from paas.controller.selectors.routes import SERVING, route_version
from paas.controller.selectors.specs import WEB
from paas.controller.services import deployments
from paas.controller.services.crashes import note_crash
from paas.controller.services.locking import lock_hosts, lock_instances
from paas.controller.services.one_offs import LOST, finished
from paas.controller.texts import storable, stored_exit
from paas.router.table import RouterReport
from runtime.model import HostReport, InstanceState, InstanceStatus, JobState, to_builtins

TERMINAL = {JobState.SUCCEEDED, JobState.FAILED}
FORGOTTEN_AFTER = timedelta(seconds=30)  # older than any report that is still on its way


@transaction.atomic
def take_host_report(host: Host, report: HostReport) -> None:
    """Store what a host says. Whole reports: repeating one changes nothing, one that was overtaken says nothing."""
    now = timezone.now()
    known_host = next(iter(lock_hosts([host.id])), None)
    if known_host is None or _overtaken(known_host, report, now):
        return
    _store_host(known_host, report, now)
    known = {str(one.id): one for one in lock_instances(Instance.objects.filter(host=known_host))}
    shown = {key: _shown(one) for key, one in known.items()}
    met = [_met(one) for one in known.values()]
    changed = [known[status.id] for status in report.instances if _store(known.get(status.id), status, now)]
    changed += _vanished(known_host, report, known, now)
    if [_met(one) for one in known.values()] != met and Host.objects.exclude(id=known_host.id).exists():
        enqueue("hosts.rewire", str(known_host.id))
    _note(changed, routes=any(_shown(one) != shown[str(one.id)] for one in changed))
    _take_jobs(known_host, report, now)


def _overtaken(host: Host, report: HostReport, now: datetime) -> bool:
    """A newer report arrived first. Of a host that was quiet any report counts: its clock may have been set back."""
    heard = host.seen_at is not None and now - host.seen_at < HOST_QUIET
    return heard and report.sequence < host.sequence


def _store_host(host: Host, report: HostReport, now: datetime) -> None:
    """A host ahead of its row (the database is an older copy) would ignore every order: number past it."""
    if report.generation > host.generation:
        host.generation = report.generation + 1
    host.seen_at, host.reported, host.sequence = now, report.generation, report.sequence
    host.version = report.version[:64]
    host.memory_bytes, host.cpus = report.capacity.memory_bytes, report.capacity.cpus
    host.offer = to_builtins(report.offer)
    told = (report.network.subnet, report.network.underlay, report.network.public_key)
    if told[0] and told != (host.subnet, host.underlay, host.public_key):
        host.subnet, host.underlay, host.public_key = told
        enqueue("hosts.rewire")
    host.save()


def _store(instance: Instance | None, status: InstanceStatus, now: datetime) -> bool:
    """Write one status. Returns whether it says something new."""
    if instance is None:
        return False
    values: dict[str, Any] = {
        "state": status.state.value,
        "state_since": datetime.fromtimestamp(status.since, UTC),
        "address": status.address,
        "port": status.port or instance.port,
        "started_at": datetime.fromtimestamp(status.started_at, UTC) if status.started_at else None,
        "restarts": status.restarts,
        "last_exit": stored_exit(status.last_exit),
        "resize_problem": storable(status.limits_problem)[:200],
        "health_problem": storable(status.health_problem)[:400],
    }
    if values == {name: getattr(instance, name) for name in values}:
        return False
    if values["last_exit"] != instance.last_exit:
        note_crash(instance, status)
    Instance.objects.filter(id=instance.id).update(**values, updated_at=now)
    for name, value in values.items():
        setattr(instance, name, value)
    return True


def _shown(instance: Instance) -> tuple[object, ...]:
    """Return what the route table says of an instance; nothing of one that neither serves nor has crashed."""
    if instance.process_type != WEB or instance.state not in {*SERVING, InstanceState.CRASHED.value}:
        return ()
    return (instance.state, instance.address, instance.port)


def _met(instance: Instance) -> tuple[object, ...]:
    """Return what the other hosts are told of an instance."""
    return (instance.address, instance.state == InstanceState.UP)


def _vanished(host: Host, report: HostReport, known: dict[str, Instance], now: datetime) -> list[Instance]:
    """Return the instances that are to stop and that the host, knowing so, no longer has."""
    if report.generation < host.generation:
        return []
    there = {status.id for status in report.instances}
    gone = [one for key, one in known.items() if key not in there and one.wanted == Instance.Wanted.STOP]
    gone = [one for one in gone if one.state != InstanceState.STOPPED]
    for one in gone:
        one.state = InstanceState.STOPPED.value
        Instance.objects.filter(id=one.id).update(state=one.state, state_since=now, updated_at=now)
    return gone


def _note(changed: list[Instance], *, routes: bool) -> None:
    """Make the planner look at the apps that changed, and routers follow what serves."""
    for app_id in {one.app_id for one in changed}:
        enqueue("planning.reconcile_app", str(app_id))
    if routes:
        deployments.bump_routes()


def _take_jobs(host: Host, report: HostReport, now: datetime) -> None:
    """Follow the one-offs. One that the host was given and no longer knows is lost: it will never be heard of again."""
    told = {status.id: status for status in report.jobs}
    for one_off in OneOff.objects.filter(host=host, finished_at__isnull=True).order_by("id").defer("spec"):
        status = told.get(str(one_off.id))
        if status is None:
            if one_off.sent_at and now - one_off.sent_at > FORGOTTEN_AFTER:
                finished(one_off, JobState.FAILED, LOST, now)
        elif status.state in TERMINAL:
            finished(one_off, status.state, status.exit, now)
        elif one_off.state != status.state:
            OneOff.objects.filter(id=one_off.id).update(state=status.state, updated_at=now)


@transaction.atomic
def take_router_report(router: Router, report: RouterReport) -> None:
    """Store which table a router serves and which instances have drained on it."""
    now = timezone.now()
    before = Router.objects.select_for_update(no_key=True).filter(id=router.id).first()
    if before is None:
        return
    Router.objects.filter(id=router.id).update(seen_at=now, applied=report.version, sequence=report.sequence)
    apps: set[UUID] = set()
    drained = [identity for state in report.backends if state.drained and (identity := as_uuid(state.id))]
    waiting = Instance.objects.filter(id__in=drained, wanted=Instance.Wanted.DRAIN, drained=False)
    for instance in lock_instances(waiting):
        if _drained_everywhere(instance, router):
            Instance.objects.filter(id=instance.id).update(drained=True, updated_at=now)
            apps.add(instance.app_id)
    if report.version != before.applied:
        active = Deployment.objects.filter(status=Deployment.Status.ACTIVE, phase="cutover")
        apps |= set(active.values_list("app_id", flat=True))
    for app_id in apps:
        enqueue("planning.reconcile_app", str(app_id))
    if report.version > route_version():  # the database is an older copy: the router would ignore every table
        deployments.bump_routes(past=report.version)


def _drained_everywhere(instance: Instance, reporter: Router) -> bool:
    """With several routers an instance has drained when each live one has said so; they say it again every report."""
    others = [one for one in live_routers(timezone.now()) if one.id != reporter.id]
    if not others:
        return True
    said = set(instance.drained_on) | {str(reporter.id)}
    Instance.objects.filter(id=instance.id).update(drained_on=sorted(said))
    return all(str(one.id) in said for one in others)
