"""What keeps the platform from filling up: old rows, unused images, and what apps that are gone have left behind."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import Count
from django.utils import timezone

from paas import authority
from paas.controller import streams
from paas.controller.models import (
    App,
    Build,
    CronJob,
    Delivery,
    Departure,
    Event,
    JoinToken,
    OneOff,
    Release,
    Slug,
    Source,
    StackTask,
    Token,
)
from paas.controller.redis_connection import RedisError, client
from paas.controller.services import logs, registry, releases, sources
from paas.controller.services.images import forget_unused
from runtime.tls import CONTROLLER

logger = logging.getLogger(__name__)

EVENTS_KEPT = timedelta(days=365)
ONE_OFFS_KEPT = timedelta(days=1)
SLUGS_KEPT = timedelta(hours=1)  # of slugs that no release names (yet)
DELIVERIES_KEPT = timedelta(days=90)  # a hook that is sent again after that starts a build
DEPARTURES_KEPT = timedelta(
    days=7
)  # how late a host may deliver the last lines of an app that it no longer has
EXPIRED_TOKENS_KEPT = timedelta(days=30)
ORPHAN_SECONDS = 3600.0


@shared_task
def housekeeping() -> None:
    """Do every chore; one that fails does not keep the others from being done."""
    for chore in CHORES:
        try:
            chore()
        except Exception:
            logger.exception("%s failed; it is done again at the next round", chore.__name__)


def prune_releases() -> None:
    kept = max(1, settings.PAAS.releases_kept)
    for app in App.objects.annotate(count=Count("releases")).filter(count__gt=kept):
        releases.prune(app)


def prune_builds() -> None:
    """Keep as many builds, with their output, as releases."""
    kept = max(1, settings.PAAS.releases_kept)
    for app in App.objects.annotate(count=Count("builds")).filter(count__gt=kept):
        old = list(app.builds.order_by("-created_at", "id").values_list("id", flat=True)[kept:])
        app.builds.filter(id__in=old, finished_at__isnull=False).delete()


def prune_rows() -> None:
    now = timezone.now()
    Slug.objects.filter(releases__isnull=True, created_at__lt=now - SLUGS_KEPT).delete()
    Event.objects.filter(at__lt=now - EVENTS_KEPT).delete()
    last = CronJob.objects.filter(one_off__isnull=False).values(
        "one_off"
    )  # of each scheduled command: it is shown
    over = OneOff.objects.filter(finished_at__lt=now - ONE_OFFS_KEPT, deployment__isnull=True)
    over.exclude(id__in=last).delete()
    Release.objects.filter(status=Release.Status.PENDING, deployments__isnull=True).update(status="failed")
    Token.objects.filter(expires_at__lt=now - EXPIRED_TOKENS_KEPT).delete()
    StackTask.objects.filter(finished_at__lt=now - EVENTS_KEPT).delete()
    Delivery.objects.filter(created_at__lt=now - DELIVERIES_KEPT).delete()
    Departure.objects.filter(at__lt=now - DEPARTURES_KEPT).delete()
    JoinToken.objects.filter(expires_at__lt=now).delete()
    Session.objects.filter(expire_date__lt=now).delete()


def renew_certificate() -> None:
    """The controller's own; agents and routers renew theirs themselves. Every process notices the new file."""
    files = settings.PAAS.credentials("controller")
    if authority.ensure_machine(files.authority.parent, files.machine, CONTROLLER, authority.now()):
        logger.info("The controller's certificate was renewed.")


def sweep_images() -> None:
    forget_unused()


def sweep_registry() -> None:
    registry.sweep(timezone.now())


def sweep_pulls() -> None:
    """Remove what a killed worker left in the folder where images are fetched and flattened."""
    active = StackTask.objects.filter(status__in=StackTask.ACTIVE).values_list("id", flat=True)
    known = {f"{one}.{kind}.tar" for one in active for kind in ("run", "build")}
    for path in [*_orphans("pulls", ".*", set()), *_orphans("pulls", "*.tar", known)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def sweep_sources() -> None:
    active = Build.objects.filter(status__in=["pending", "building"]).values_list("id", flat=True)
    files = _orphans("sources", "*.tar", {f"{one}.tar" for one in active})
    for file in files:
        file.unlink(missing_ok=True)
    for folder in _orphans("sources", ".fetch-*", set()):  # of a worker that was killed
        shutil.rmtree(folder, ignore_errors=True)


def start_waiting_sources() -> None:
    """Commits that were pushed elsewhere while a build ran, and whose hint was lost."""
    idle = Source.objects.exclude(waiting_commit="").exclude(app__builds__status__in=["pending", "building"])
    for app_id in list(idle.values_list("app_id", flat=True)):
        sources.start_waiting(str(app_id))


def sweep_repositories() -> None:
    for path in _orphans(
        "repos", "*.git", {f"{one}.git" for one in App.objects.values_list("id", flat=True)}
    ):
        shutil.rmtree(path, ignore_errors=True)


def _orphans(folder: str, pattern: str, known: set[str]) -> Iterator[Path]:
    """Yield what lies in a folder of the data folder and has belonged to nothing known for a while."""
    for path in list((Path(settings.PAAS.home) / folder).glob(pattern)):
        try:
            age = time.time() - path.stat().st_mtime
        except FileNotFoundError:
            continue
        if path.name not in known and age > ORPHAN_SECONDS:
            yield path


def sweep_logs() -> None:
    """Drop the logs of apps that are gone: a last line may have arrived after `forget_app`."""
    known = {streams.app_log(one) for one in App.objects.values_list("id", flat=True)}
    for key in list(client().scan_iter(match=streams.app_log("*"), count=500)):
        if key not in known:
            client().delete(key)


CHORES: tuple[Callable[[], None], ...] = (
    prune_releases,
    prune_builds,
    prune_rows,
    renew_certificate,
    sweep_images,
    sweep_registry,
    sweep_pulls,
    sweep_sources,
    start_waiting_sources,
    sweep_repositories,
    sweep_logs,
)


@shared_task
def forget_app(app_id: str) -> None:
    """Drop what a destroyed app has outside the database. Repeatable; the sweep finds what a lost task leaves."""
    if App.objects.filter(id=UUID(app_id)).exists():
        return
    repository = Path(settings.PAAS.home) / "repos" / f"{UUID(app_id)}.git"
    shutil.rmtree(repository, ignore_errors=True)
    try:
        logs.forget(app_id)
    except RedisError as error:
        logger.warning("The log of %s stays until the next sweep: %s", app_id, error)
