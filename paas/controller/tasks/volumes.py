"""Removing volumes from their hosts, once nobody uses them."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from paas.controller.models import Volume
from paas.controller.services.volumes import remove_doomed


@shared_task
def remove_volume(volume_id: str) -> None:
    """Try it. The tick tries again while it is in use."""
    volume = Volume.objects.select_related("host").filter(id=UUID(volume_id), doomed=True).first()
    if volume is not None:
        remove_doomed(volume)
