"""Stacks: the operating system under an app."""

from __future__ import annotations

import uuid

from django.db import models

from paas.controller.models.accounts import User


class Stack(models.Model):
    """A run image and a build layer on it. Without images it is the host's own /usr."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=64, unique=True)
    source = models.CharField(max_length=500, blank=True)  # of an imported one; '': made here
    build_source = models.CharField(max_length=500, blank=True)
    abi = models.JSONField(default=dict)  # {"os", "python", "node"}: what slugs built on it count on
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


class StackLanguage(models.Model):
    """A language that builds have asked a stack for: layers over those of the stack that they were made on."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    stack = models.ForeignKey(Stack, on_delete=models.CASCADE, related_name="languages")
    language = models.CharField(max_length=32)
    definition = models.CharField(max_length=64)  # fingerprint of its packages
    base = models.CharField(max_length=64)  # hash of the stack's images that it belongs to
    run_layers = models.JSONField(default=list)  # [{"digest", "size"}] over the run image
    build_layers = models.JSONField(default=list)  # over the build layer and the run image
    version = models.CharField(max_length=64, blank=True)
    abi = models.CharField(max_length=32, blank=True)  # what of the version slugs count on
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["stack", "language"], name="one_row_per_language_of_a_stack")
        ]


class StackTask(models.Model):
    """Importing or updating a stack. Any worker can take it up; what has been fetched is not fetched again."""

    class Status(models.TextChoices):
        PENDING = "pending"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"

    ACTIVE = (Status.PENDING, Status.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    stack = models.CharField(max_length=64)
    source = models.CharField(max_length=500, blank=True)  # '': made anew from its definition
    build_source = models.CharField(max_length=500, blank=True)
    credentials_encrypted = models.BinaryField(default=b"")  # for the registry; dropped when it is over
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    error_id = models.CharField(max_length=64, blank=True)
    message = models.TextField(blank=True)
    output = models.TextField(blank=True)
    claimed_by = models.CharField(max_length=64, blank=True)
    heartbeat_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["stack"],
                condition=models.Q(status__in=["pending", "running"]),
                name="one_task_per_stack_at_a_time",
            )
        ]
