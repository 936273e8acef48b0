"""Volumes of apps: what is in them is on their host; here is whose they are."""

from __future__ import annotations

import uuid

from django.db import models

from paas.controller.models.apps import App
from paas.controller.models.hosts import Host


class Volume(models.Model):
    """A volume on its host. Releases say where it is mounted. `doomed`: to be removed once nobody uses it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="volumes")
    host = models.ForeignKey(Host, on_delete=models.RESTRICT, related_name="volumes")
    name = models.CharField(max_length=63)
    size_bytes = models.PositiveBigIntegerField()
    source = models.CharField(max_length=140, blank=True)  # VOLUME-ID/SNAPSHOT that it was cloned from
    doomed = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "name"], name="one_volume_per_name")]

    def __str__(self) -> str:
        return self.name
