"""Networks: apps that may reach each other."""

from __future__ import annotations

import uuid

from django.db import models

from paas.controller.models.accounts import User
from paas.controller.models.apps import App


class Network(models.Model):
    """A named network. Whose members are in an `internal` one reach nothing outside."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=30, unique=True)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="networks")
    internal = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name


class NetworkMember(models.Model):
    """An app in a network, found there as `ALIAS.NETWORK.internal`; without an alias by its name."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    network = models.ForeignKey(Network, on_delete=models.PROTECT, related_name="members")
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="network_members")
    aliases = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["network", "app"], name="once_in_a_network")]
