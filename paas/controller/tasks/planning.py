"""The hint that an app may need a new plan."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from paas.controller.services import planning


@shared_task
def reconcile_app(app_id: str) -> None:
    planning.reconcile_app(UUID(app_id))
