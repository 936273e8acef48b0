"""What an app's code asks to be run: scripts once a release serves, scheduled commands at their times."""

from __future__ import annotations

import logging
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from paas.controller.models import OneOff
from paas.controller.selectors.planning import exit_info
from paas.controller.services import cron, scripts

logger = logging.getLogger(__name__)


@shared_task
def look() -> None:
    """Every few seconds: what has come up, and scripts whose hint was lost. One app's trouble is nobody else's."""
    now = timezone.now()
    for app_id in cron.due_apps(now):
        try:
            cron.start_due(app_id, now)
        except Exception:
            logger.exception("scheduled commands of app %s cannot be started; tried again", app_id)
    for app_id in scripts.waiting_apps():
        run_scripts(app_id)


@shared_task
def run_scripts(app_id: str) -> None:
    scripts.run_scripts(app_id)


@shared_task
def tell_end(one_off_id: str) -> None:
    one_off = OneOff.objects.select_related("app").filter(id=UUID(one_off_id)).first()
    if one_off is not None and one_off.finished_at is not None:
        scripts.ended(one_off, exit_info(one_off.exit))
