"""The life of a deployment as row changes. What happens next is decided by `paas.scheduler.plan`.

In: a release that should serve.  Out: an active deployment, later one that ended; the pusher's lines on the way.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import F, Max
from django.utils import timezone

from paas.controller.models import App, Deployment, Host, Instance, OneOff, Release, RouteVersion
from paas.controller.queue import enqueue
from paas.controller.services import build_output, cron, events, scripts
from paas.controller.services.locking import lock_hosts, lock_instances
from paas.scheduler.model import Phase

RELEASE_STATUS = {
    Deployment.Status.SUCCEEDED: Release.Status.SUCCEEDED,
    Deployment.Status.SUPERSEDED: Release.Status.EXPIRED,
}


def start(app: App, release: Release) -> None:
    """Bring `release` live: at once when it has nothing to run, else by a deployment that supersedes the active one."""
    now = timezone.now()
    active = Deployment.objects.filter(app=app, status=Deployment.Status.ACTIVE)
    for older in active.select_related("release", "app"):
        if older.phase in {Phase.RELEASE, Phase.START}:
            build_output.hand_over(older, release)
            message = f"superseded by v{release.version}"
            end(older, Deployment.Status.SUPERSEDED, now, "superseded", message)
        else:
            if older.phase == Phase.CUTOVER:
                _went_live(older)
            end(older, Deployment.Status.SUCCEEDED, now)
    if release.slug_id is None:
        Release.objects.filter(id=release.id).update(status=Release.Status.SUCCEEDED)
        release.status = Release.Status.SUCCEEDED
        App.objects.filter(id=app.id).update(current_release=release)
        app.current_release = release
        bump_routes()
        return
    Deployment.objects.create(app=app, release=release, phase=Phase.RELEASE, phase_since=now)
    enqueue("planning.reconcile_app", str(app.id))


def bump_routes(past: int = 0) -> int:
    """Make a new version of the route table, higher than `past`, and have it pushed after the commit."""
    row, _ = RouteVersion.objects.select_for_update(no_key=True).get_or_create(id=1)
    row.version = max(row.version, past) + 1
    row.save(update_fields=["version"])
    enqueue("routing.push_routers")
    return row.version


def advance(deployment: Deployment, to: Phase, now: datetime) -> None:
    """Move to the next phase, noting how long the last one took."""
    _note_phase(deployment, now)
    deployment.phase = to
    deployment.phase_since = now
    if to is Phase.CUTOVER:
        _cut_over(deployment)
    elif to is Phase.DRAIN:
        deployment.live_at = now
        Release.objects.filter(id=deployment.release_id).update(
            status=Release.Status.SUCCEEDED, updated_at=now
        )
        _went_live(deployment)
    elif to is Phase.DONE:
        deployment.status = Deployment.Status.SUCCEEDED
        deployment.finished_at = now
    deployment.save()


def _note_phase(deployment: Deployment, now: datetime) -> None:
    """Note the seconds of the phase that ends; the start is told as pull (image, container) and boot (to healthy)."""
    phase = Phase(deployment.phase)
    seconds = (now - deployment.phase_since).total_seconds()
    parts = {phase.value: seconds}
    if phase is Phase.START:
        started = deployment.release.instances.aggregate(last=Max("started_at"))["last"]
        if started is not None and started > deployment.phase_since:
            pull = min(seconds, (started - deployment.phase_since).total_seconds())
            parts = {"pull": pull, "boot": seconds - pull}
    timed = {name: round(value, 3) for name, value in parts.items()}
    deployment.timings = {**deployment.timings, **timed}


def _went_live(deployment: Deployment) -> None:
    """Tell its pusher, and note what its code asks to be run from now on."""
    scripts.note(deployment)
    cron.follow_release(deployment)
    build_output.deployed(deployment)


def _cut_over(deployment: Deployment) -> None:
    """From this commit on the new release is what serves, all process types at once; the caller makes the table."""
    App.objects.filter(id=deployment.app_id).update(
        current_release_id=deployment.release_id, released_at=timezone.now(), updated_at=timezone.now()
    )


def fail(deployment: Deployment, now: datetime, error_id: str, message: str) -> None:
    """End it as failed; the release before it has never stopped serving."""
    _note_phase(deployment, now)
    build_output.say(deployment, *_last_words(deployment))
    end(deployment, Deployment.Status.FAILED, now, error_id, message)
    events.record(None, "deployment.fail", deployment.id, deployment.app, error=error_id)


def _last_words(deployment: Deployment) -> list[str]:
    """Return what the first instance that failed wrote before it ended."""
    for instance in deployment.release.instances.exclude(last_exit=None).order_by("created_at"):
        words = (instance.last_exit or {}).get("tail", ())
        if words:
            return [f"       Last lines of {instance.name}:", *(f"       | {line}" for line in words)]
    return []


def end(deployment: Deployment, status: str, now: datetime, error_id: str = "", message: str = "") -> None:
    """End an active deployment in `status` and tell whoever waits for it."""
    deployment.status = status
    deployment.finished_at = now
    deployment.error_id = error_id
    deployment.message = message
    deployment.save()
    succeeded = status == Deployment.Status.SUCCEEDED
    outcome = RELEASE_STATUS.get(Deployment.Status(status), Release.Status.FAILED)
    Release.objects.filter(id=deployment.release_id, status=Release.Status.PENDING).update(
        status=outcome, message=message, updated_at=now
    )
    if not succeeded:
        _retire(deployment, now, message)
        build_output.failed(deployment, message)


def _retire(deployment: Deployment, now: datetime, reason: str) -> None:
    """Stop what exists only for this release. Instances it shares with the serving release carry that one's id."""
    doomed = Instance.objects.filter(release_id=deployment.release_id, wanted=Instance.Wanted.RUN)
    touch_hosts(doomed.values_list("host_id", flat=True))
    ids = [one.id for one in lock_instances(doomed)]
    Instance.objects.filter(id__in=ids).update(
        wanted=Instance.Wanted.STOP, wanted_since=now, reason=reason[:200], updated_at=now
    )
    OneOff.objects.filter(deployment=deployment, finished_at__isnull=True).update(
        stop_requested=True, updated_at=now
    )
    for command in OneOff.objects.filter(deployment=deployment, stop_requested=True):
        enqueue("one_offs.stop_one_off", str(command.id))


def touch_hosts(hosts: Iterable[UUID]) -> None:
    """Count up the generation of hosts whose wanted state changes, and have it pushed after the commit.

    Call it before the rows of instances change, so that locks are taken in the order of `locking`.
    """
    for host in lock_hosts(hosts):
        Host.objects.filter(id=host.id).update(generation=F("generation") + 1, updated_at=timezone.now())
        enqueue("hosts.push_host", str(host.id))
