"""Networks that join apps.

In: requests under /networks.  Out: networks with those of their members that the caller may see.
"""

from __future__ import annotations

from collections.abc import Collection

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.ranges import Field, uuid_field
from paas.controller.api.references import Time, UserReferenceSerializer
from paas.controller.api.resource import Resource, actor, app_of, read, render, render_items
from paas.controller.models import Network, NetworkMember, User
from paas.controller.selectors.apps import visible_apps
from paas.controller.selectors.networks import access_network, aliases, visible_networks
from paas.controller.services.networks import create_network, destroy_network, join_network, leave_network

ORDERS = {"name": Field("name"), "id": uuid_field(), "created_at": Field("created_at")}
ALIASES = {"type": "array", "items": {"type": "string"}}
MEMBERS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"app": {"type": "string"}, "aliases": ALIASES},
        "required": ["app", "aliases"],
    },
}


class NetworkSerializer(serializers.Serializer[Network]):
    """A network. Context `seen`: ids of apps that the caller may see; of the others only the number is told."""

    created_at = Time()
    hidden_members = serializers.SerializerMethodField()
    id = serializers.UUIDField()
    internal = serializers.BooleanField()
    members = serializers.SerializerMethodField()
    name = serializers.CharField()
    owner = UserReferenceSerializer()
    updated_at = Time()

    @extend_schema_field(MEMBERS)
    def get_members(self, network: Network) -> list[dict[str, object]]:
        return [
            {"app": member.app.name, "aliases": list(aliases(member))}
            for member in sorted(network.members.all(), key=lambda member: member.app.name)
            if member.app_id in self.context["seen"]
        ]

    @extend_schema_field({"type": "integer"})
    def get_hidden_members(self, network: Network) -> int:
        return sum(member.app_id not in self.context["seen"] for member in network.members.all())


class NewNetworkSerializer(serializers.Serializer[None]):
    name = serializers.CharField(max_length=100)
    internal = serializers.BooleanField(default=False, help_text="Members reach nothing outside.")


class NewMemberSerializer(serializers.Serializer[None]):
    app = serializers.CharField(max_length=100)
    aliases = serializers.ListField(child=serializers.CharField(max_length=100), required=False)


class MemberSerializer(serializers.Serializer[NetworkMember]):
    """An app in a network, and the names that it has there."""

    aliases = serializers.SerializerMethodField()
    app = serializers.CharField(source="app.name")
    id = serializers.UUIDField()
    network = serializers.CharField(source="network.name")

    @extend_schema_field(ALIASES)
    def get_aliases(self, member: NetworkMember) -> list[str]:
        return list(aliases(member))


def _seen(user: User) -> Collection[object]:
    return set(visible_apps(user).values_list("id", flat=True))


def _render(request: Request, network: Network, status: int = 200) -> Response:
    return render(NetworkSerializer, network, status=status, context={"seen": _seen(actor(request))})


class Networks(Resource):
    @extend_schema(operation_id="listNetworks", responses=NetworkSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the networks that you made or that your apps are in."""
        user = actor(request)
        return render_items(
            request, NetworkSerializer, list(visible_networks(user)), ORDERS, context={"seen": _seen(user)}
        )

    @extend_schema(
        operation_id="createNetwork", request=NewNetworkSerializer, responses={201: NetworkSerializer}
    )
    def post(self, request: Request) -> Response:
        """Make a network. Nobody is in it yet."""
        body = read(request, NewNetworkSerializer)
        network = create_network(actor(request), body["name"], body["internal"])
        return _render(request, network, status=201)


class OneNetwork(Resource):
    @extend_schema(operation_id="getNetwork", responses=NetworkSerializer)
    def get(self, request: Request, network: str) -> Response:
        """Show a network and who is in it."""
        return _render(request, access_network(actor(request), network))

    @extend_schema(operation_id="deleteNetwork", request=None, responses=NetworkSerializer)
    def delete(self, request: Request, network: str) -> Response:
        """Destroy a network. Refused while it has members."""
        user = actor(request)
        return _render(request, destroy_network(user, access_network(user, network)))


class Members(Resource):
    @extend_schema(operation_id="joinNetwork", request=NewMemberSerializer, responses={201: MemberSerializer})
    def post(self, request: Request, network: str) -> Response:
        """Let an app join, at once, without a restart. For who works on every app in the network."""
        user, body = actor(request), read(request, NewMemberSerializer)
        found, app = access_network(user, network), app_of(request, body["app"])
        member = join_network(user, found, app, body.get("aliases", ()))
        return render(MemberSerializer, member, status=201)


class OneMember(Resource):
    @extend_schema(operation_id="leaveNetwork", request=None, responses=MemberSerializer)
    def delete(self, request: Request, network: str, app: str) -> Response:
        """Let an app leave, at once, without a restart. For who works on the app."""
        found = access_network(actor(request), network)
        member = leave_network(actor(request), found, app_of(request, app))
        return render(MemberSerializer, member)
