"""Hosts: the machines that run containers. Administrators see and manage them.

In: requests under /hosts and /join-tokens.  Out: one object per machine; a token for another one, once.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.authentication import GLOBAL
from paas.controller.api.ranges import Field, uuid_field
from paas.controller.api.references import Time
from paas.controller.api.resource import Resource, actor, read, render, render_rows
from paas.controller.models import Host
from paas.controller.selectors.hosts import find_host, host_state, instances_on, machine_url
from paas.controller.services import hosts, joining
from paas.errors import Forbidden, InvalidParams

ORDERS = {"name": Field("name"), "id": uuid_field()}
QUIET = timedelta(seconds=30)
HOUR = 3600


class HostSerializer(serializers.Serializer[Host]):
    """A machine. `up`: its agent has reported in the last half minute. `state`: joined (not heard of yet), up, quiet,
    lost or cordoned. `subnet`: of its containers; `address`: its own among the hosts."""

    address = serializers.CharField(source="underlay")
    cordoned = serializers.BooleanField()
    cpus = serializers.IntegerField()
    created_at = Time()
    id = serializers.UUIDField()
    instances = serializers.SerializerMethodField()
    memory_bytes = serializers.IntegerField()
    name = serializers.CharField()
    seen_at = Time(allow_null=True)
    state = serializers.SerializerMethodField()
    subnet = serializers.CharField()
    up = serializers.SerializerMethodField()
    url = serializers.CharField()
    version = serializers.CharField()

    def get_instances(self, host: Host) -> int:
        return instances_on(host)

    def get_state(self, host: Host) -> str:
        return host_state(host, timezone.now())

    def get_up(self, host: Host) -> bool:
        return host.seen_at is not None and timezone.now() - host.seen_at < QUIET


class HostChangeSerializer(serializers.Serializer[None]):
    cordoned = serializers.BooleanField(help_text="True: nothing new is placed there.")


class HostRemovalSerializer(serializers.Serializer[None]):
    force = serializers.BooleanField(required=False, default=False)
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)


class NewJoinTokenSerializer(serializers.Serializer[None]):
    name = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=63, help_text="What the host will be called."
    )
    ttl = serializers.IntegerField(required=False, default=HOUR, help_text="Seconds until it expires.")


class JoinTokenSerializer(serializers.Serializer[dict[str, Any]]):
    """`command`: what to run on the new machine. The token is in this answer only."""

    command = serializers.CharField()
    expires_at = Time()
    id = serializers.UUIDField()
    name = serializers.CharField()
    token = serializers.CharField()
    url = serializers.CharField()


class HostResource(Resource):
    """For administrators."""

    readers: ClassVar[set[str]] = GLOBAL
    writers: ClassVar[set[str]] = GLOBAL

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not actor(request).is_admin:
            raise Forbidden("Only administrators see the hosts.")


class Hosts(HostResource):
    @extend_schema(operation_id="listHosts", responses=HostSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the machines that run containers. For administrators."""
        return render_rows(request, HostSerializer, Host.objects.all(), ORDERS)


class OneHost(HostResource):
    @extend_schema(operation_id="getHost", responses=HostSerializer)
    def get(self, request: Request, host: str) -> Response:
        """Show a host, by name or id."""
        return render(HostSerializer, find_host(host))

    @extend_schema(operation_id="updateHost", request=HostChangeSerializer, responses=HostSerializer)
    def patch(self, request: Request, host: str) -> Response:
        """Cordon a host (nothing new is placed there), or uncordon it."""
        body = read(request, HostChangeSerializer)
        return render(HostSerializer, hosts.set_cordoned(actor(request), find_host(host), body["cordoned"]))

    @extend_schema(operation_id="deleteHost", request=HostRemovalSerializer, responses=HostSerializer)
    def delete(self, request: Request, host: str) -> Response:
        """Take a host off the platform. Refused while something runs there, unless `force` with a `reason`."""
        body = read(request, HostRemovalSerializer)
        reason = hosts.check_reason(body["force"], body["reason"])
        return render(HostSerializer, hosts.remove(actor(request), find_host(host), reason=reason))


class DrainHost(HostResource):
    @extend_schema(operation_id="drainHost", request=None, responses={202: HostSerializer})
    def post(self, request: Request, host: str) -> Response:
        """Cordon a host and have everything on it replaced elsewhere. `instances` counts down to 0."""
        return render(HostSerializer, hosts.drain(actor(request), find_host(host)), status=202)


class JoinTokens(HostResource):
    @extend_schema(
        operation_id="createJoinToken", request=NewJoinTokenSerializer, responses={201: JoinTokenSerializer}
    )
    def post(self, request: Request) -> Response:
        """Make a token with which one machine joins. It is in this answer only."""
        body = read(request, NewJoinTokenSerializer)
        if not 0 < body["ttl"] < 2**31:
            raise InvalidParams("A token lasts between a minute and seven days.")
        url = machine_url()
        row, secret = joining.make_token(actor(request), timedelta(seconds=body["ttl"]), body["name"])
        shown = {
            "id": row.id,
            "name": row.name,
            "expires_at": row.expires_at,
            "token": str(secret),
            "url": url,
            "command": f"sudo script/join {url} {secret}",
        }
        response = render(JoinTokenSerializer, shown, status=201)
        response.headers["Cache-Control"] = "no-store"
        return response
