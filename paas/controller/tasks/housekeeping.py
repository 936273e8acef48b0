"""What keeps the platform from filling up: old releases, unused slugs, repositories of destroyed apps."""

from __future__ import annotations

import logging
import shutil
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from paas.controller.models import App, Build, Event, OneOff, Release, Slug
from paas.controller.redis_connection import RedisError
from paas.controller.services import logs, releases
from paas.controller.services.images import forget_unused

logger = logging.getLogger(__name__)

EVENTS_KEPT = timedelta(days=365)
ONE_OFFS_KEPT = timedelta(days=1)
ORPHAN_SECONDS = 3600.0


@shared_task
def housekeeping() -> None:
    now = timezone.now()
    for app in App.objects.all():
        releases.prune(app)
    Slug.objects.filter(releases__isnull=True, created_at__lt=now - timedelta(hours=1)).delete()
    Event.objects.filter(at__lt=now - EVENTS_KEPT).delete()
    OneOff.objects.filter(finished_at__lt=now - ONE_OFFS_KEPT, deployment__isnull=True).delete()
    Release.objects.filter(status=Release.Status.PENDING, deployments__isnull=True).update(status="failed")
    forget_unused()
    _sweep_sources()
    _sweep_repositories()


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
        logger.warning("The log of %s stays until Redis drops it: %s", app_id, error)


def _sweep_sources() -> None:
    folder = Path(settings.PAAS.home) / "sources"
    active = {
        f"{one}.tar"
        for one in Build.objects.filter(status__in=["pending", "building"]).values_list("id", flat=True)
    }
    for file in folder.glob("*") if folder.is_dir() else ():
        if file.name not in active and time.time() - file.stat().st_mtime > ORPHAN_SECONDS:
            file.unlink(missing_ok=True)


def _sweep_repositories() -> None:
    folder = Path(settings.PAAS.home) / "repos"
    known = {f"{one}.git" for one in App.objects.values_list("id", flat=True)}
    for path in folder.glob("*.git") if folder.is_dir() else ():
        if path.name not in known and time.time() - path.stat().st_mtime > ORPHAN_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
