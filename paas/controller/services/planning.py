"""The one shell around the scheduler: reads a snapshot, applies the plan, in one transaction per app.

In: an app's id.  Out: rows changed, hosts and routers told after the commit, and the time to look again.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from paas.controller.encryption import encrypt
from paas.controller.models import App, Deployment, Host, Instance, Release
from paas.controller.selectors import planning, specs
from paas.controller.services import build_output, deployments, one_offs
from paas.controller.services.locking import lock_app
from paas.errors import NotFound
from paas.scheduler import model
from paas.scheduler.plan import plan
from runtime.model import encode

logger = logging.getLogger(__name__)

ROUNDS = 10  # phases follow each other at once when nothing has to be waited for


def reconcile_app(app_id: UUID) -> int:
    """Plan and apply until nothing is left to do now. Returns how many actions were taken."""
    taken = 0
    for _ in range(ROUNDS):
        applied = _reconcile_once(app_id)
        taken += applied
        if not applied:
            break
    return taken


@transaction.atomic
def _reconcile_once(app_id: UUID) -> int:
    try:
        app = lock_app(app_id)
    except NotFound:
        return 0
    decided = plan(planning.snapshot(app), timezone.now().timestamp())
    wake_at = datetime.fromtimestamp(decided.wake_at, UTC) if decided.wake_at else None
    if app.wake_at != wake_at:
        App.objects.filter(id=app.id).update(wake_at=wake_at)
    hosts: set[UUID] = set()
    routes_changed = False
    for action in decided.actions:
        logger.info("app %s: %s", app.name, action)
        routes_changed |= _apply(app, action, hosts)
    if routes_changed:
        deployments.bump_routes()
    deployments.touch_hosts(hosts)
    return len(decided.actions)


def _apply(app: App, action: model.Action, hosts: set[UUID]) -> bool:
    """Apply one action; collect the hosts it touches. Returns whether routes change."""
    now = timezone.now()
    match action:
        case model.Start():
            hosts.add(_start(app, action, now))
        case model.Drain(instance, reason):
            Instance.objects.filter(id=instance, wanted="run").update(
                wanted="drain", wanted_since=now, reason=reason
            )
            return True
        case model.Stop(instance, reason):
            found = Instance.objects.filter(id=instance).exclude(wanted="stop")
            hosts.update(found.values_list("host_id", flat=True))
            return found.update(wanted="stop", wanted_since=now, reason=reason) > 0
        case model.Forget(instance, _):
            Instance.objects.filter(id=instance, wanted="stop").delete()
        case model.RunCommand(deployment, host, _):
            _run_release_command(Deployment.objects.get(id=deployment), Host.objects.get(id=host))
        case model.Advance(deployment, to, _):
            _advance(Deployment.objects.select_related("release", "app").get(id=deployment), to, now)
        case model.Fail(deployment, error_id, reason):
            row = Deployment.objects.select_related("release", "app").get(id=deployment)
            deployments.fail(row, now, error_id, reason)
    return False


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
        wanted_since=now,
        state_since=now,
        reason=action.reason[:200],
        port=spec.container.port,
    )
    return action.host


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
