"""Deployments: how a release becomes what serves. A row, not a call: any worker can advance it."""

from __future__ import annotations

import uuid

from django.db import models

from paas.controller.models.apps import App
from paas.controller.models.releases import Release


class Deployment(models.Model):
    """The step-by-step switch of an app to a release. Phases and their order: `paas.scheduler.model.Phase`."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        SUPERSEDED = "superseded"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="deployments")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="deployments")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.ACTIVE)
    phase = models.CharField(max_length=16, default="release")
    phase_since = models.DateTimeField()
    timings = models.JSONField(default=dict)  # {phase: seconds}
    table_version = models.PositiveBigIntegerField(null=True)  # the route table that carries the cut-over
    live_at = models.DateTimeField(null=True)  # when every router had it
    error_id = models.CharField(max_length=64, blank=True)
    message = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["app"], condition=models.Q(status="active"), name="one_active_deployment_per_app"
            )
        ]
