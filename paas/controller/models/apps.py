"""Apps, who may work on them, and the host names they answer to."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Lower

from paas.controller.models.accounts import User


class App(models.Model):
    """One app. `current_release` is what serves now; the newest release may still be on its way or have failed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=30, unique=True)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="apps")
    stack = models.CharField(max_length=64)
    maintenance = models.BooleanField(default=False)
    current_release = models.ForeignKey(
        "controller.Release", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    # Serialises changes: every service that changes releases, deployments or instances locks this row first.
    version_counter = models.PositiveIntegerField(default=0)
    cache_generation = models.PositiveIntegerField(default=0)  # counts the purges of the build cache
    wake_at = models.DateTimeField(null=True, blank=True, db_index=True)
    # Rules as texts of where its processes, and its builds, may go: all that is reached. Null: everything is.
    egress = models.JSONField(null=True, blank=True)
    build_egress = models.JSONField(null=True, blank=True)
    buildpacks = models.JSONField(default=list, blank=True)  # references in order; none: detected
    source_path = models.CharField(max_length=500, blank=True)  # the folder of its repository; '': all of it
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    released_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class Collaborator(models.Model):
    """Someone besides the owner who may work on an app."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="collaborators")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="collaborations")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "user"], name="one_collaboration")]


class Domain(models.Model):
    """A host name that reaches an app besides `NAME.DOMAIN`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="domains")
    hostname = models.CharField(max_length=253)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(Lower("hostname"), name="one_app_per_hostname")]
