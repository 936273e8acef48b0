"""Stacks: the operating system under an app."""

from __future__ import annotations

import uuid

from django.db import models


class Stack(models.Model):
    """A run image and a build layer on it. Without images it is the host's own /usr."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=64, unique=True)
    is_default = models.BooleanField(default=False)
    run_layers = models.JSONField(default=list)  # [{"digest", "size"}], topmost first
    build_layers = models.JSONField(default=list)  # on top of the run layers
    python_version = models.CharField(max_length=32, blank=True)
    node_version = models.CharField(max_length=32, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    @property
    def on_host(self) -> bool:
        return not self.run_layers

    def __str__(self) -> str:
        return self.name
