"""Releases: immutable, numbered, the one revertible unit."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models

from paas.controller.models.accounts import User
from paas.controller.models.apps import App
from paas.controller.models.builds import Slug

# A release never changes; these tell how it went.
OUTCOME = frozenset({"status", "message", "output", "created_at", "updated_at"})


class ReleaseQuerySet(models.QuerySet["Release"]):
    """Refuses what would change a release: there is no second way to write one but how it went."""

    def update(self, **values: Any) -> int:
        frozen = sorted(values.keys() - OUTCOME)
        if frozen:
            raise TypeError(
                f"A release is immutable; make a new one instead of changing {', '.join(frozen)}."
            )
        return super().update(**values)


class Release(models.Model):
    """Everything that decides how an app runs, frozen: image, config, formation, health checks, domains, kernel
    parameters, sandbox and where volumes are mounted."""

    class Status(models.TextChoices):
        PENDING = "pending"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        EXPIRED = "expired"  # superseded before it was live

    #: What never served: no later change builds on it, and nothing can be rolled back to it.
    NEVER_LIVE = (Status.FAILED, Status.EXPIRED)

    class Kind(models.TextChoices):
        INITIAL = "initial"
        DEPLOY = "deploy"
        CONFIG = "config"
        FORMATION = "formation"
        DOMAINS = "domains"
        KERNEL = "kernel"
        SANDBOX = "sandbox"
        VOLUMES = "volumes"
        REBASE = "rebase"  # the same code on newer layers of its stack
        ROLLBACK = "rollback"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="releases")
    version = models.PositiveIntegerField()
    kind = models.CharField(max_length=16, choices=Kind.choices)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    description = models.CharField(max_length=300)
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    slug = models.ForeignKey(Slug, null=True, on_delete=models.RESTRICT, related_name="releases")
    stack = models.CharField(max_length=64)
    stack_layers = models.JSONField(
        default=list
    )  # [{"digest", "size"}] of the run image; empty: the host's /usr
    config_encrypted = models.BinaryField()
    formation = models.JSONField(default=dict)  # {type: {"quantity", "size", "command"}}
    health_checks = models.JSONField(default=dict)  # {type: {"kind", "path", ...}}
    domains = models.JSONField(default=list)  # host names
    kernel = models.JSONField(default=dict)  # {"sysctls": {name: value}, "ulimits": {name: [soft, hard]}}
    sandbox = models.JSONField(default=dict)  # {"runtime": name, "seccomp": name, "readonly": True}
    volumes = models.JSONField(default=list)  # [{"volume", "name", "type", "target", "read_only"}]
    output = models.TextField(blank=True)  # of the release phase
    message = models.TextField(blank=True)  # why it failed
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "version"], name="one_release_per_version")]
        ordering = ["version"]

    def __str__(self) -> str:
        return f"v{self.version}"

    def save(self, *args: Any, **options: Any) -> None:
        """Insert it. Raises TypeError for a second time."""
        if not self._state.adding:
            raise TypeError("A release is immutable; make a new one instead of saving this one again.")
        super().save(*args, **options)
