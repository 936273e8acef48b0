"""Builds of what was pushed elsewhere while another build ran."""

from __future__ import annotations

from celery import shared_task

from paas.controller.services import sources


@shared_task
def start_waiting(app_id: str) -> None:
    sources.start_waiting(app_id)
