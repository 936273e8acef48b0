"""The one way back: what hosts and routers report becomes rows, and changes make the planner look again.

In: a report.  Out: rows, hints, and whether the reporter is behind.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from paas.controller.models import Deployment, Host, Instance, OneOff, Router
from paas.controller.queue import enqueue
from paas.controller.selectors.routes import SERVING
from paas.controller.selectors.specs import WEB
from paas.controller.services import deployments
from paas.controller.services.one_offs import finished
from paas.router.table import RouterReport
from runtime.model import HostReport, InstanceState, InstanceStatus, JobState, to_builtins

TERMINAL = {JobState.SUCCEEDED, JobState.FAILED}


@transaction.atomic
def take_host_report(host: Host, report: HostReport) -> None:
    """Store what a host says. Whole reports: repeating one changes nothing."""
    now = timezone.now()
    Host.objects.filter(id=host.id).update(
        seen_at=now,
        reported=report.generation,
        sequence=report.sequence,
        memory_bytes=report.capacity.memory_bytes,
        cpus=report.capacity.cpus,
    )
    host = Host.objects.get(id=host.id)
    known = {str(one.id): one for one in Instance.objects.filter(host=host)}
    changed = [known[status.id] for status in report.instances if _store(known.get(status.id), status, now)]
    changed += _vanished(host, report, known, now)
    _note(changed)
    _take_jobs(host, report, now)


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
        "last_exit": to_builtins(status.last_exit) if status.last_exit else None,
    }
    before = {name: getattr(instance, name) for name in values}
    if before == values:
        return False
    Instance.objects.filter(id=instance.id).update(**values, updated_at=now)
    instance.refresh_from_db()
    return True


def _vanished(host: Host, report: HostReport, known: dict[str, Instance], now: datetime) -> list[Instance]:
    """Return the instances that are to stop and that the host, knowing so, no longer has."""
    if report.generation < host.generation:
        return []
    there = {status.id for status in report.instances}
    gone = [one for key, one in known.items() if key not in there and one.wanted == Instance.Wanted.STOP]
    gone = [one for one in gone if one.state != InstanceState.STOPPED]
    for one in gone:
        Instance.objects.filter(id=one.id).update(
            state=InstanceState.STOPPED, state_since=now, updated_at=now
        )
    return gone


def _note(changed: list[Instance]) -> None:
    """Make the planner look at the apps that changed, and routers follow what serves."""
    for app_id in {one.app_id for one in changed}:
        enqueue("planning.reconcile_app", str(app_id))
    if any(
        one.process_type == WEB and (one.state in SERVING or one.restarts or one.last_exit) for one in changed
    ):
        deployments.bump_routes()


def _take_jobs(host: Host, report: HostReport, now: datetime) -> None:
    ids = {status.id: status for status in report.jobs}
    for one_off in OneOff.objects.filter(host=host, id__in=list(ids), finished_at__isnull=True):
        status = ids[str(one_off.id)]
        if status.state in TERMINAL:
            finished(one_off, status.state, to_builtins(status.exit) if status.exit else None, now)
        elif one_off.state != status.state:
            OneOff.objects.filter(id=one_off.id).update(state=status.state, updated_at=now)


@transaction.atomic
def take_router_report(router: Router, report: RouterReport) -> None:
    """Store which table a router serves and which instances have drained on it."""
    now = timezone.now()
    before = Router.objects.select_for_update().get(id=router.id)
    Router.objects.filter(id=router.id).update(seen_at=now, applied=report.version, sequence=report.sequence)
    apps: set[UUID] = set()
    drained = [state.id for state in report.backends if state.drained]
    waiting = Instance.objects.filter(id__in=drained, wanted=Instance.Wanted.DRAIN, drained=False)
    for instance in waiting:
        if _drained_everywhere(instance, router):
            Instance.objects.filter(id=instance.id).update(drained=True, updated_at=now)
            apps.add(instance.app_id)
    if report.version != before.applied:
        active = Deployment.objects.filter(status=Deployment.Status.ACTIVE, phase="cutover")
        apps |= set(active.values_list("app_id", flat=True))
    for app_id in apps:
        enqueue("planning.reconcile_app", str(app_id))


def _drained_everywhere(instance: Instance, reporter: Router) -> bool:
    """With several routers an instance has drained when each live one has said so; they say it again every report."""
    from paas.controller.selectors.planning import live_routers

    others = [one for one in live_routers(timezone.now()) if one.id != reporter.id]
    if not others:
        return True
    said = set(instance.drained_on) | {str(reporter.id)}
    Instance.objects.filter(id=instance.id).update(drained_on=sorted(said))
    return all(str(one.id) in said for one in others)
