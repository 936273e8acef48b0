"""Hosts: the machines that run containers. Administrators see them.

In: requests under /hosts.  Out: one object per machine.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.authentication import GLOBAL
from paas.controller.api.ranges import Field, uuid_field
from paas.controller.api.references import Time
from paas.controller.api.resource import Resource, actor, render_rows
from paas.controller.models import Host
from paas.errors import Forbidden

ORDERS = {"name": Field("name"), "id": uuid_field()}
QUIET = timedelta(seconds=30)


class HostSerializer(serializers.Serializer[Host]):
    """A machine. `up`: its agent has reported in the last half minute."""

    cordoned = serializers.BooleanField()
    cpus = serializers.IntegerField()
    created_at = Time()
    id = serializers.UUIDField()
    instances = serializers.SerializerMethodField()
    memory_bytes = serializers.IntegerField()
    name = serializers.CharField()
    seen_at = Time(allow_null=True)
    up = serializers.SerializerMethodField()
    url = serializers.CharField()

    def get_instances(self, host: Host) -> int:
        return host.instances.filter(wanted="run").count()

    def get_up(self, host: Host) -> bool:
        return host.seen_at is not None and timezone.now() - host.seen_at < QUIET


class Hosts(Resource):
    readers: ClassVar[set[str]] = GLOBAL

    @extend_schema(operation_id="listHosts", responses=HostSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the machines that run containers. For administrators."""
        if not actor(request).is_admin:
            raise Forbidden("Only administrators see the hosts.")
        return render_rows(request, HostSerializer, Host.objects.all(), ORDERS)
