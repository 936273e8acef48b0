"""What apps have in the image store's OCI registry. The blobs themselves are files by digest, each kept once."""

from __future__ import annotations

import uuid

from django.db import models

from paas.controller.models.apps import App


class RegistryBlob(models.Model):
    """A blob that an app has pushed, mounted or released, and may read: blobs of others are not there for it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="registry_blobs")
    digest = models.CharField(max_length=71)
    size = models.PositiveBigIntegerField()
    media_type = models.CharField(max_length=100, blank=True)  # of a manifest
    converted_from = models.CharField(
        max_length=71, blank=True
    )  # the squashfs of a release that this is a layer of
    used_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "digest"], name="one_blob_per_app_and_digest")]


class RegistryTag(models.Model):
    """A name of a pushed manifest: APP/PROCESS_TYPE:TAG."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="registry_tags")
    process_type = models.CharField(max_length=63)
    tag = models.CharField(max_length=128)
    digest = models.CharField(max_length=71)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["app", "process_type", "tag"], name="one_manifest_per_tag")
        ]
