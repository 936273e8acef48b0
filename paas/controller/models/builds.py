"""Builds and the slugs they leave behind."""

from __future__ import annotations

import uuid

from django.db import models

from paas.controller.models.accounts import User
from paas.controller.models.apps import App


class Slug(models.Model):
    """A built app: one squashfs image by content, with what it knows how to run."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="slugs")
    digest = models.CharField(max_length=71)  # sha256:<64 hex>
    size = models.PositiveBigIntegerField()
    layers = models.JSONField(default=list)  # [{"digest", "size"}] of its dependencies, which lie below it
    process_types = models.JSONField(default=dict)  # {type: command}
    config_defaults = models.JSONField(default=dict)  # environment that the build asks for; config vars win
    buildpacks = models.JSONField(default=list)  # [{"name", "version"}]
    commit = models.CharField(max_length=64, blank=True)
    commit_message = models.CharField(max_length=500, blank=True)
    declared = models.JSONField(default=dict)  # by its app.json: {"formation", "scripts", "cron"}
    stack = models.CharField(max_length=64)
    abi = models.JSONField(default=dict)  # what it was built against: {"os", "python", "node"}
    # {process type: its image as `selectors.prebuilt.Prebuilt`}; empty: built here. Then `digest` is that of `web`.
    images = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)


class Build(models.Model):
    """The work from a source to a slug. Any worker can take it up: its job on the host has the build's id."""

    class Status(models.TextChoices):
        PENDING = "pending"
        BUILDING = "building"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="builds")
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    origin = models.CharField(
        max_length=16, default="git"
    )  # git: a pusher waits for it; api, image, source, hook: nobody does
    commit = models.CharField(max_length=64, blank=True)
    commit_message = models.CharField(max_length=500, blank=True)
    source_file = models.CharField(max_length=300)  # path of the source tar under the data folder
    source = models.JSONField(default=dict)  # to be fetched: {"kind": "url"|"git", "url", "ref", "checksum"}
    image = models.JSONField(default=dict)  # of a prebuilt one: {"source", "process_type", "manifest", "by"}
    credentials_encrypted = models.BinaryField(
        default=b""
    )  # for the registry, or the source's whole URL; dropped when the build is over
    slug = models.ForeignKey(Slug, null=True, on_delete=models.SET_NULL, related_name="builds")
    release = models.ForeignKey(
        "controller.Release", null=True, on_delete=models.SET_NULL, related_name="builds"
    )
    host = models.ForeignKey("controller.Host", null=True, on_delete=models.SET_NULL, related_name="+")
    stack = models.CharField(max_length=64)
    cancel_requested = models.BooleanField(default=False)
    error_id = models.CharField(max_length=64, blank=True)
    message = models.TextField(blank=True)
    timings = models.JSONField(default=dict)  # seconds per phase
    materials = models.JSONField(
        default=dict
    )  # {"builder": digest, "layers": [digest]}: what it was built with
    claimed_by = models.CharField(max_length=64, blank=True)
    heartbeat_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["app"],
                condition=models.Q(status__in=["pending", "building"]),
                name="one_build_per_app_at_a_time",
            )
        ]


class BuildLog(models.Model):
    """The whole output of a finished build, kept for replay."""

    build = models.OneToOneField(Build, primary_key=True, on_delete=models.CASCADE, related_name="log")
    text = models.TextField()
