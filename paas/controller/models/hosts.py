"""The machines: hosts that run containers, routers that carry traffic, and the version of the route table."""

from __future__ import annotations

import uuid

from django.db import models


class Host(models.Model):
    """A machine with an agent. `generation` counts the wanted states made for it; `reported` is the one in force."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=64, unique=True)
    url = models.CharField(max_length=300)
    cordoned = models.BooleanField(default=False)
    memory_bytes = models.PositiveBigIntegerField(default=0)
    cpus = models.PositiveIntegerField(default=0)
    generation = models.PositiveBigIntegerField(default=0)
    reported = models.PositiveBigIntegerField(default=0)
    sequence = models.PositiveBigIntegerField(default=0)
    subnet = models.CharField(
        max_length=18, blank=True, default=""
    )  # its containers' addresses, as it reports them
    underlay = models.CharField(max_length=45, blank=True, default="")  # its own address among the hosts
    public_key = models.CharField(max_length=64, blank=True, default="")  # WireGuard's
    offer = models.JSONField(default=dict)  # what apps can choose there, as it reports it
    version = models.CharField(
        max_length=64, blank=True, default=""
    )  # of the checkout that its agent runs from
    seen_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name


class Router(models.Model):
    """An edge machine with HAProxy. `applied` is the version of the route table that it serves."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=64, unique=True)
    url = models.CharField(max_length=300)
    applied = models.PositiveBigIntegerField(default=0)
    sequence = models.PositiveBigIntegerField(default=0)
    joined = models.BooleanField(default=False)  # came with a host, and goes with it
    seen_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name


class JoinToken(models.Model):
    """Lets one machine join, until `expires_at`. It is good for the first key that comes with it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of the secret
    name = models.CharField(
        max_length=64, blank=True, default=""
    )  # what the host will be called, '': as it says
    expires_at = models.DateTimeField()
    key_digest = models.CharField(max_length=64, blank=True, default="")
    host = models.ForeignKey(Host, null=True, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)


class RouteVersion(models.Model):
    """One row: the version of the newest route table. Bumped in the transaction that changes a route."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    version = models.PositiveBigIntegerField(default=1)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_route_version")]
