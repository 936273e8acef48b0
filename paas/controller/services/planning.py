"""The one shell around the scheduler: reads a snapshot, applies the plan, in one transaction per app.

In: an app's id.  Out: rows changed, hosts and routers told after the commit, and the time to look again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from paas.controller.encryption import encrypt
from paas.controller.models import App, Departure, Deployment, Host, Instance, Release
from paas.controller.selectors import planning, specs
from paas.controller.services import build_output, deployments, one_offs
from paas.controller.services.locking import lock_app_if_there, lock_hosts, lock_instances
from paas.scheduler import model
from paas.scheduler.plan import plan
from runtime.model import encode

logger = logging.getLogger(__name__)

ROUNDS = 10  # phases follow each other at once when nothing has to be waited for


@dataclass
class _Effects:
    """What a plan's actions ask of the rest of the transaction."""

    hosts: set[UUID] = field(default_factory=set)  # their wanted state changes
    names: bool = False  # what every host tells of an app's names changes
    routes: bool = False
    cut_over: list[UUID] = field(default_factory=list)  # deployments that the next route table carries


@transaction.atomic
def reconcile_app(app_id: UUID) -> int:
    """Plan and apply until nothing is left to do now. Returns how many actions were taken.

    All rounds are one transaction with one route table at its end: a cut-over and the drains that follow from it
    reach the routers together, so that a release that is live is the only one that answers. With the hosts locked no
    other app takes the memory that this plan has found free.
    """
    app = lock_app_if_there(app_id)
    if app is None:
        return 0
    hosts = lock_hosts()
    lock_instances(Instance.objects.filter(app=app))
    effects, taken = _Effects(), 0
    for _ in range(ROUNDS):
        applied = _round(app, effects)
        taken += applied
        if not applied:
            break
    if effects.routes or effects.cut_over:
        version = deployments.bump_routes()
        Deployment.objects.filter(id__in=effects.cut_over).update(table_version=version)
    deployments.touch_hosts({one.id for one in hosts} if effects.names else effects.hosts)
    return taken


def _round(app: App, effects: _Effects) -> int:
    app.refresh_from_db()
    decided = plan(planning.snapshot(app), timezone.now().timestamp())
    wake_at = datetime.fromtimestamp(decided.wake_at, UTC) if decided.wake_at else None
    if app.wake_at != wake_at:
        App.objects.filter(id=app.id).update(wake_at=wake_at)
    for action in decided.actions:
        logger.info("app %s: %s", app.name, action)
        _apply(app, action, effects)
    return len(decided.actions)


def _apply(app: App, action: model.Action, effects: _Effects) -> None:
    now = timezone.now()
    match action:
        case model.Start():
            effects.hosts.add(_start(app, action, now))
        case model.Resize():
            effects.hosts.add(_resize(action, now))
        case model.Drain(instance, reason):
            running = Instance.objects.filter(id=instance, wanted="run")
            effects.names |= running.update(wanted="drain", wanted_since=now, reason=reason) > 0
            effects.routes = True
        case model.Stop(instance, reason):
            found = Instance.objects.filter(id=instance).exclude(wanted="stop")
            effects.hosts.update(found.values_list("host_id", flat=True))
            effects.routes |= found.update(wanted="stop", wanted_since=now, reason=reason) > 0
        case model.Forget(instance, _):
            _forget(instance, now)
        case model.RunCommand(deployment, host, _):
            _run_release_command(_deployment(deployment), Host.objects.get(id=host))
        case model.Advance(deployment, to, _):
            _advance(_deployment(deployment), to, now)
            if to is model.Phase.CUTOVER:
                effects.cut_over.append(deployment)
        case model.Fail(deployment, error_id, reason):
            deployments.fail(_deployment(deployment), now, error_id, reason)


def _forget(instance: UUID, now: datetime) -> None:
    row = Instance.objects.filter(id=instance, wanted="stop").first()
    if row is None:
        return
    departure = Departure(host_id=row.host_id, app_id=row.app_id, at=now)
    Departure.objects.bulk_create(
        [departure], update_conflicts=True, unique_fields=["host", "app"], update_fields=["at"]
    )
    row.delete()


def _deployment(deployment_id: UUID) -> Deployment:
    return Deployment.objects.select_related("release__slug", "app").get(id=deployment_id)


def _start(app: App, action: model.Start, now: datetime) -> UUID:
    release = Release.objects.select_related("slug", "app").get(id=action.release)
    instance_id = uuid4()
    spec = specs.instance_spec(release, action.type, action.number, instance_id)
    Instance.objects.create(
        id=instance_id,
        app=app,
        release=release,
        process_type=action.type,
        number=action.number,
        template=action.template,
        host_id=action.host,
        spec=encrypt(encode(spec)),
        memory_bytes=spec.container.limits.memory_bytes,
        wanted_since=now,
        state_since=now,
        reason=action.reason[:200],
        port=spec.container.port,
    )
    return action.host


def _resize(action: model.Resize, now: datetime) -> UUID:
    """The same container under other limits: its host finds them under the id that it knows."""
    release = Release.objects.select_related("slug", "app").get(id=action.release)
    instance = Instance.objects.get(id=action.instance)
    spec = specs.instance_spec(release, action.type, instance.number, instance.id)
    Instance.objects.filter(id=instance.id).update(
        release=release,
        template=action.template,
        spec=encrypt(encode(spec)),
        memory_bytes=spec.container.limits.memory_bytes,
        resize_problem="",
        reason=action.reason[:200],
        updated_at=now,
    )
    return instance.host_id


def _run_release_command(deployment: Deployment, host: Host) -> None:
    command = planning.release_command(deployment.release)
    build_output.say(deployment, f"-----> Release command: {command}")
    one_offs.run_release_command(deployment, host, command)


def _advance(deployment: Deployment, to: model.Phase, now: datetime) -> None:
    deployments.advance(deployment, to, now)
    if to is model.Phase.START:
        formation = deployment.release.formation
        running = ", ".join(f"{type_}={entry['quantity']}" for type_, entry in sorted(formation.items()))
        build_output.say(
            deployment, f"-----> Launching v{deployment.release.version} ({running or 'no process types'})"
        )
    elif to is model.Phase.CUTOVER:
        build_output.say(deployment, "       Healthy; switching traffic")
