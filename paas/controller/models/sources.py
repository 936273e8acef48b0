"""Where the code of an app lies elsewhere, and what its hooks have said."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from paas.controller.models.accounts import User
from paas.controller.models.apps import App
from paas.controller.models.builds import Build


class Source(models.Model):
    """A git repository elsewhere whose pushes are built. `id` is in the URL that the other side calls."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.OneToOneField(App, on_delete=models.CASCADE, related_name="source")
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")  # who connected it
    url = models.CharField(max_length=500)
    branch = models.CharField(max_length=255)
    automatic = models.BooleanField(default=True)  # a hook of its branch starts a build
    secret_encrypted = models.BinaryField()  # of the hook
    token_encrypted = models.BinaryField(default=b"")  # for https
    token_user = models.CharField(max_length=100, blank=True)
    key_encrypted = models.BinaryField(default=b"")  # for ssh: the private half
    public_key = models.CharField(max_length=200, blank=True)
    host_keys = models.TextField(blank=True)  # known_hosts lines, as they were at the first fetch
    waiting_commit = models.CharField(max_length=64, blank=True)  # pushed while another build ran
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)


class Delivery(models.Model):
    """A hook that was taken: the same one again changes nothing. `key` is its id, or a digest of what it said."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="deliveries")
    key = models.CharField(max_length=80)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "key"], name="one_delivery")]


class HookRecord(models.Model):
    """One of the last hooks of a repository: what it said, and `words` that say what became of it."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="hook_records")
    kind = models.CharField(max_length=16)  # push, ping, other, or unsigned: the newest one of these only
    branch = models.CharField(max_length=255, blank=True)
    commit = models.CharField(max_length=64, blank=True)
    words = models.CharField(max_length=500)
    build = models.ForeignKey(Build, null=True, on_delete=models.SET_NULL, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source"], condition=models.Q(kind="unsigned"), name="one_unsigned_hook_per_source"
            )
        ]
