"""Asking hosts for runs that ended between two of their reports."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from paas.controller.services import crashes


@shared_task
def fill_in(instance_id: str) -> None:
    """Repeatable; a lost one leaves a gap in the numbers of runs, which the list shows."""
    crashes.fill_in(UUID(instance_id))
