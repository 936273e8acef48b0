"""Builds as rows: made by a push or the API, claimed by a worker, ended once.

In: a source tar.  Out: a slug and its release, or the reason why not.
"""

from __future__ import annotations

import logging
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID, uuid4

import msgspec
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from paas.controller import streams
from paas.controller.encryption import encrypt
from paas.controller.models import App, Build, Deployment, Release, Slug, Source, User
from paas.controller.queue import enqueue, send
from paas.controller.redis_connection import RedisError, client
from paas.controller.selectors.prebuilt import Prebuilt
from paas.controller.selectors.stacks import stack_abi
from paas.controller.services import build_output, build_queue, deployments, events
from paas.controller.services.locking import lock_app, lock_app_if_there
from paas.controller.services.releases import release_slug
from paas.controller.texts import storable
from paas.errors import Conflict, InvalidParams
from paas.scheduler.cron import following, parse
from paas.scheduler.model import Phase
from runtime import shapes
from runtime.model import ImageRef, Rootfs

logger = logging.getLogger(__name__)

HEARTBEAT_LOST = timedelta(seconds=10)  # a worker writes one every second
ACTIVE = (Build.Status.PENDING, Build.Status.BUILDING)
ATTEMPTS_MAX = 5  # workers that may die over one build before it is given up

PROCESS_TYPE = re.compile(r"[A-Za-z0-9_-]{1,63}")
ProcessType = Annotated[str, msgspec.Meta(pattern=rf"^{PROCESS_TYPE.pattern}\Z")]
Variable = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,199}\Z")]
Text = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*\Z", max_length=32 * 1024)]


class UsedBuildpack(msgspec.Struct, frozen=True):
    name: Text = ""
    version: Text = ""


class Failure(msgspec.Struct, frozen=True):
    id: Text
    message: Text


Status = Annotated[int, msgspec.Meta(ge=100, le=599)]
HeaderName = Annotated[str, msgspec.Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}\Z")]


class DeclaredCheck(msgspec.Struct, frozen=True, omit_defaults=True):
    """A health check that the code declares, in the names of `runtime.model.HealthCheck`: by HTTP, or by a command."""

    path: Annotated[str, msgspec.Meta(pattern=r"^(/[!-~]*)?\Z", max_length=500)] = ""
    timeout: Annotated[float, msgspec.Meta(gt=0, le=60)] = 3.0
    interval: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 5.0
    start_period: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0
    unhealthy_threshold: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3
    healthy_threshold: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    restart_threshold: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    statuses: tuple[Status, Status] = (200, 399)
    headers: Annotated[dict[HeaderName, Text], msgspec.Meta(max_length=20)] = {}
    content: Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*\Z", max_length=500)] = ""
    command: Annotated[tuple[Text, ...], msgspec.Meta(max_length=100)] = ()


class DeclaredSize(msgspec.Struct, frozen=True, omit_defaults=True):
    quantity: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    size: Text = ""


class DeclaredCron(msgspec.Struct, frozen=True, omit_defaults=True):
    command: Text
    schedule: Text
    policy: Literal["allow", "forbid", "replace"] = "allow"
    maintenance: bool = False


class Declared(msgspec.Struct, frozen=True, omit_defaults=True):
    """What app.json asks for besides health checks."""

    formation: Annotated[dict[ProcessType, DeclaredSize], msgspec.Meta(max_length=100)] = {}
    scripts: Annotated[dict[Text, Text], msgspec.Meta(max_length=10)] = {}
    cron: Annotated[tuple[DeclaredCron, ...], msgspec.Meta(max_length=100)] = ()


class Result(msgspec.Struct, frozen=True):
    """What the controller takes from a build's `result.json`; the rest of it is for people."""

    process_types: Annotated[dict[ProcessType, Text], msgspec.Meta(max_length=100)] = {}
    config_defaults: Annotated[dict[Variable, Text], msgspec.Meta(max_length=200)] = {}
    buildpacks: Annotated[tuple[UsedBuildpack, ...], msgspec.Meta(max_length=20)] = ()
    health_checks: Annotated[dict[ProcessType, DeclaredCheck], msgspec.Meta(max_length=100)] = {}
    declared: Declared = Declared()
    error: Failure | None = None


def source_path(build_id: UUID | str) -> Path:
    return Path(settings.PAAS.home) / "sources" / f"{build_id}.tar"


def create_build(
    user: User | None,
    app: App,
    *,
    source_file: Path | None = None,
    source: dict[str, str] | None = None,
    secret: str = "",
    commit: str = "",
    commit_message: str = "",
    origin: str = "api",
    received: float | None = None,
) -> Build:
    """Queue a build of `source_file`, which is linked into the platform's keeping, or of a `source` that its worker
    fetches; `secret` is what it needs for that and nobody sees. Raises Conflict while one runs."""
    build_id = uuid4()
    kept = source_path(build_id)
    kept.parent.mkdir(parents=True, exist_ok=True)
    if source_file is not None:
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
                commit=storable(commit)[:64],
                commit_message=storable(commit_message)[:500],
                source_file=str(kept),
                source=source or {},
                credentials_encrypted=encrypt(secret.encode()) if secret else b"",
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
    except BaseException:
        kept.unlink(missing_ok=True)
        raise
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
            release__kind=Release.Kind.DEPLOY,  # another change that took the code along is not the pusher's to end
            status=Deployment.Status.ACTIVE,
            phase__in=[Phase.RELEASE, Phase.START],
        )
        for deployment in waiting.select_related("release", "app"):
            now = timezone.now()
            deployments.end(
                deployment, Deployment.Status.CANCELLED, now, "cancelled", "the push was cancelled"
            )
            enqueue("planning.reconcile_app", str(build.app_id))
            events.record(user, "deployment.cancel", deployment.id, build.app)
    return build


def beat(build_id: UUID | str, worker: str) -> bool:
    """Say that the worker is alive. False: the build is no longer this worker's (cancelled, ended, taken over)."""
    mine = Build.objects.filter(id=build_id, claimed_by=worker, status=Build.Status.BUILDING)
    return mine.update(heartbeat_at=timezone.now()) > 0


def note_materials(build: Build, rootfs: Rootfs) -> None:
    """Keep what the build runs on, for its provenance. A worker that takes over goes on with what is noted."""
    builder, *layers = (layer.digest for layer in rootfs.layers)
    Build.objects.filter(id=build.id, materials={}).update(materials={"builder": builder, "layers": layers})


def pusher_is_there(build: Build) -> bool | None:
    """Return whether somebody waits for the push; None when Redis cannot tell."""
    if build.origin != "git":
        return True
    try:
        return bool(client().exists(streams.pusher(build.id)))
    except RedisError:
        return None


def succeed(
    build: Build,
    slug_image: ImageRef,
    result: Result,
    timings: dict[str, float],
    images: dict[str, Prebuilt] | None = None,
    layers: tuple[ImageRef, ...] = (),
) -> None:
    """Make slug and release in one transaction. A no-op when the build was cancelled or its app destroyed meanwhile.

    `images` are those of a prebuilt slug.
    """
    with transaction.atomic():
        if lock_app_if_there(build.app_id) is None:
            return
        now = timezone.now()
        mine = Build.objects.filter(id=build.id, status=Build.Status.BUILDING)
        if not mine.update(status=Build.Status.SUCCEEDED, finished_at=now, updated_at=now):
            return
        slug = Slug.objects.create(
            app=build.app,
            digest=slug_image.digest,
            size=slug_image.size,
            layers=[msgspec.to_builtins(layer) for layer in layers],
            process_types=result.process_types,
            config_defaults=result.config_defaults,
            buildpacks=[msgspec.to_builtins(pack) for pack in result.buildpacks],
            commit=build.commit,
            commit_message=build.commit_message,
            declared=msgspec.to_builtins(result.declared),
            stack=build.stack,
            abi={} if images else stack_abi(build.stack),
            images={type_: msgspec.to_builtins(image) for type_, image in (images or {}).items()},
        )
        description = _description(build)
        checks = msgspec.to_builtins(result.health_checks)
        release = release_slug(build.user, build.app, slug, description, checks)
        Build.objects.filter(id=build.id).update(slug=slug, release=release, timings=_timings(build, timings))
    _close(build)


def _description(build: Build) -> str:
    if build.image:
        return f"Deploy {build.image['source']}"
    return f"Deploy {build.commit[:8]}" if build.commit else "Deploy"


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
        if lock_app_if_there(build.app_id) is None:
            return
        current = Build.objects.filter(id=build.id, status__in=ACTIVE).first()
        if current is None:
            return
        _end(current, Build.Status.FAILED, error_id, message)


def _end(build: Build, status: str, error_id: str, message: str) -> None:
    now = timezone.now()
    message = storable(message)
    Build.objects.filter(id=build.id).update(
        status=status, error_id=error_id[:64], message=message, finished_at=now, updated_at=now
    )

    def tell() -> None:
        if not build_output.says(build.id, message):  # the builder says why it failed itself
            build_output.write(build.id, f" !     {message[:1].upper()}{message[1:]}", "")
        build_output.finish(build.id, ok=False, reason=message)
        _close(build)

    transaction.on_commit(tell, robust=True)


def _close(build: Build) -> None:
    """Keep the output for replay, drop the source, and let the next build in the queue begin."""
    build_output.keep(build.id)
    Build.objects.filter(id=build.id).exclude(credentials_encrypted=b"").update(credentials_encrypted=b"")
    source_path(build.id).unlink(missing_ok=True)
    if Source.objects.filter(app_id=build.app_id).exclude(waiting_commit="").exists():
        send("sources.start_waiting", str(build.app_id))  # pushed elsewhere while this one ran
    for waiting in build_queue.waiting_builds()[:1]:
        send("builds.run_build", waiting)
    build_queue.tell_waiting()


def read_failure(text: str) -> Failure | None:
    """Return what the builder says went wrong, or None when it could not say anything."""
    try:
        return shapes.decode(text, Result).error
    except ValueError:
        return None


def read_result(text: str) -> Result:
    """Return the builder's result. Raises InvalidParams when it is not one.

    The tenant's code ran beside the builder and can have written it: nothing in it is taken on trust.
    """
    try:
        result = shapes.decode(text, Result)
    except ValueError as error:
        logger.warning("a build's result cannot be used: %s", error)
    else:
        check_schedules(result.declared)
        return result
    raise InvalidParams(
        "The build ended without saying what it built; push again, and report it if it stays so."
    )


def check_schedules(declared: Declared) -> None:
    """Raise InvalidParams for a scheduled command that never could come up."""
    for number, entry in enumerate(declared.cron, start=1):
        try:
            following(parse(entry.schedule), timezone.now())
        except ValueError as error:
            message = (
                f"app.json cannot be used: entry {number} of `cron`: {error}. Correct it and push again."
            )
            raise InvalidParams(message, id="app_json_invalid") from error
