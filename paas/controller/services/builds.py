"""Builds as rows: made by a push or the API, claimed by a worker, ended once.

In: a source tar.  Out: a slug and its release, or the reason why not.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from paas.controller import streams
from paas.controller.models import App, Build, Deployment, Host, Slug, User
from paas.controller.queue import enqueue
from paas.controller.redis_connection import RedisError, client
from paas.controller.services import build_output, deployments, events
from paas.controller.services.locking import lock_app
from paas.controller.services.releases import release_slug
from paas.errors import Conflict, InvalidParams
from paas.scheduler.model import Phase
from runtime.model import ImageRef

HEARTBEAT_LOST = timedelta(seconds=10)  # a worker writes one every second
ACTIVE = (Build.Status.PENDING, Build.Status.BUILDING)


def source_path(build_id: UUID | str) -> Path:
    return Path(settings.PAAS.home) / "sources" / f"{build_id}.tar"


def create_build(
    user: User | None,
    app: App,
    *,
    source_file: Path,
    commit: str = "",
    commit_message: str = "",
    origin: str = "api",
    received: float | None = None,
) -> Build:
    """Queue a build of `source_file`, which is linked into the platform's keeping. Raises Conflict while one runs."""
    build_id = uuid4()
    kept = source_path(build_id)
    kept.parent.mkdir(parents=True, exist_ok=True)
    os.link(source_file, kept)
    try:
        with transaction.atomic():
            app = lock_app(app.id)
            if origin == "git":
                _abandon(app)
            build = Build.objects.create(
                id=build_id,
                app=app,
                user=user,
                origin=origin,
                commit=commit,
                commit_message=commit_message[:500],
                source_file=str(kept),
                stack=app.stack,
                timings={} if received is None else {"receive": round(received, 3)},
            )
            events.record(user, "build.create", build.id, app, commit=commit)
            enqueue("builds.run_build", str(build.id))
    except IntegrityError as error:
        kept.unlink(missing_ok=True)
        raise Conflict(
            f"Another build of {app.name} is running; wait for it or cancel it: paas builds:cancel -a {app.name}.",
            app=app.name,
        ) from error
    return build


def _abandon(app: App) -> None:
    """End builds of pushes that are gone: the push that asks now holds the repository's lock, so nobody waits."""
    for build in Build.objects.filter(app=app, origin="git", status__in=ACTIVE):
        _end(build, Build.Status.CANCELLED, "push_gone", "the push that started it is gone")
        enqueue("builds.stop_job", str(build.id), str(build.host_id or ""))


@transaction.atomic
def cancel_build(user: User | None, build: Build) -> Build:
    """Stop a build, or the deployment of its release as long as it has not cut over. A no-op when all is over."""
    lock_app(build.app_id)
    build.refresh_from_db()
    if build.status in ACTIVE:
        _end(build, Build.Status.CANCELLED, "cancelled", "the build was cancelled")
        enqueue("builds.stop_job", str(build.id), str(build.host_id or ""))
        events.record(user, "build.cancel", build.id, build.app)
    elif build.release_id:
        waiting = Deployment.objects.filter(
            release_id=build.release_id,
            status=Deployment.Status.ACTIVE,
            phase__in=[Phase.RELEASE, Phase.START],
        )
        for deployment in waiting.select_related("release", "app"):
            now = timezone.now()
            deployments.end(
                deployment, Deployment.Status.CANCELLED, now, "cancelled", "the push was cancelled"
            )
            enqueue("planning.reconcile_app", str(build.app_id))
    return build


def claim(build_id: UUID | str, worker: str) -> Build | None:
    """Take up a build that waits, or one whose worker died. None: it is taken or over, or all places are."""
    now = timezone.now()
    silent = now - HEARTBEAT_LOST
    free = Q(status=Build.Status.PENDING) | Q(status=Build.Status.BUILDING, heartbeat_at__lt=silent)
    with transaction.atomic():
        busy = (
            Build.objects.filter(status=Build.Status.BUILDING, heartbeat_at__gte=silent)
            .exclude(id=build_id)
            .count()
        )
        if busy >= settings.PAAS.build_concurrency:
            return None
        taken = Build.objects.filter(free, id=build_id).update(
            status=Build.Status.BUILDING,
            claimed_by=worker,
            heartbeat_at=now,
            attempts=F("attempts") + 1,
            updated_at=now,
        )
        if not taken:
            return None
        Build.objects.filter(id=build_id, started_at__isnull=True).update(started_at=now)
        return Build.objects.select_related("app", "host", "user").get(id=build_id)


def waiting_builds() -> list[str]:
    """Return the ids of builds that a worker should take up, oldest first."""
    silent = timezone.now() - HEARTBEAT_LOST
    free = Q(status=Build.Status.PENDING) | Q(status=Build.Status.BUILDING, heartbeat_at__lt=silent)
    return [
        str(one) for one in Build.objects.filter(free).order_by("created_at").values_list("id", flat=True)
    ]


def beat(build_id: UUID | str, worker: str) -> bool:
    """Say that the worker is alive. False: the build is no longer this worker's (cancelled, ended, taken over)."""
    mine = Build.objects.filter(id=build_id, claimed_by=worker, status=Build.Status.BUILDING)
    return mine.update(heartbeat_at=timezone.now()) > 0


def assign_host(build: Build) -> Host | None:
    """Choose the host that builds, once: a worker that takes over continues on the same one."""
    from paas.controller.selectors.planning import HOST_QUIET

    if build.host is None:
        quiet = timezone.now() - HOST_QUIET
        host = Host.objects.filter(cordoned=False, seen_at__gte=quiet).order_by("-memory_bytes").first()
        if host is not None:
            Build.objects.filter(id=build.id).update(host=host)
            build.host = host
    return build.host


def pusher_is_there(build: Build) -> bool | None:
    """Return whether somebody waits for the push; None when Redis cannot tell."""
    if build.origin != "git":
        return True
    try:
        return bool(client().exists(streams.pusher(build.id)))
    except RedisError:
        return None


def succeed(build: Build, slug_image: ImageRef, result: dict[str, Any], timings: dict[str, float]) -> None:
    """Make slug and release in one transaction. A no-op when the build was cancelled or its app destroyed meanwhile."""
    with transaction.atomic():
        if not App.objects.select_for_update().filter(id=build.app_id).exists():
            return
        now = timezone.now()
        mine = Build.objects.filter(id=build.id, status=Build.Status.BUILDING)
        if not mine.update(status=Build.Status.SUCCEEDED, finished_at=now, updated_at=now):
            return
        slug = Slug.objects.create(
            app=build.app,
            digest=slug_image.digest,
            size=slug_image.size,
            process_types=result["process_types"],
            config_defaults=result.get("config_defaults", {}),
            buildpacks=result.get("buildpacks", []),
            commit=build.commit,
            commit_message=build.commit_message,
            stack=build.stack,
        )
        description = f"Deploy {build.commit[:8]}" if build.commit else "Deploy"
        release = release_slug(build.user, build.app, slug, description)
        Build.objects.filter(id=build.id).update(slug=slug, release=release, timings=_timings(build, timings))
    _close(build)


def _timings(build: Build, measured: dict[str, float]) -> dict[str, float]:
    """Return seconds per phase, the wait for a worker among them."""
    queue = ((build.started_at or build.created_at) - build.created_at).total_seconds()
    return {
        **build.timings,
        "queue": round(queue, 3),
        **{name: round(value, 3) for name, value in measured.items()},
    }


def fail(build: Build, error_id: str, message: str) -> None:
    """End a build as failed and tell the pusher. A no-op when it is over already."""
    with transaction.atomic():
        if not App.objects.select_for_update().filter(id=build.app_id).exists():
            return
        current = Build.objects.filter(id=build.id, status__in=ACTIVE).first()
        if current is None:
            return
        _end(current, Build.Status.FAILED, error_id, message)


def _end(build: Build, status: str, error_id: str, message: str) -> None:
    now = timezone.now()
    Build.objects.filter(id=build.id).update(
        status=status, error_id=error_id, message=message, finished_at=now, updated_at=now
    )

    def tell() -> None:
        build_output.write(build.id, f" !     {message[:1].upper()}{message[1:]}", "")
        build_output.finish(build.id, ok=False, reason=message)
        _close(build)

    transaction.on_commit(tell)


def _close(build: Build) -> None:
    """Keep the output for replay, drop the source, and let the next build in the queue begin."""
    build_output.keep(build.id)
    source_path(build.id).unlink(missing_ok=True)
    from paas.controller.queue import send

    for waiting in waiting_builds()[:1]:
        send("builds.run_build", waiting)


def read_result(text: str) -> dict[str, Any]:
    """Return the builder's result. Raises InvalidParams when it is not one."""
    try:
        result = json.loads(text)
        if isinstance(result, dict) and (isinstance(result.get("process_types"), dict) or "error" in result):
            return result
    except ValueError:
        pass
    raise InvalidParams(
        "The build ended without saying what it built; push again, and report it if it stays so."
    )
