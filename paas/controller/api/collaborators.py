"""Who may work on an app.

In: requests under /apps/APP/collaborators.  Out: Heroku's representation of a collaborator, the owner first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.ranges import Field, uuid_field
from paas.controller.api.references import (
    NAMESPACE,
    Constant,
    NamedReferenceSerializer,
    Time,
    UserReferenceSerializer,
    app_reference,
)
from paas.controller.api.resource import Resource, app_of, render_items
from paas.controller.models import App, User

ORDERS = {"id": uuid_field(), "created_at": Field("created_at")}


@dataclass(frozen=True)
class Member:
    id: UUID
    user: User
    role: str
    created_at: datetime
    updated_at: datetime


class CollaboratorSerializer(serializers.Serializer[Member]):
    """Someone who may work on an app. Context `app`."""

    app = serializers.SerializerMethodField()
    created_at = Time()
    id = serializers.UUIDField()
    permissions = Constant([])
    role = serializers.CharField()
    updated_at = Time()
    user = UserReferenceSerializer()

    @extend_schema_field(NamedReferenceSerializer)
    def get_app(self, member: Member) -> dict[str, str]:
        return app_reference(self.context["app"])


def members(app: App) -> list[Member]:
    owner_id = uuid5(NAMESPACE, f"owner {app.id} {app.owner_id}")
    owner = Member(owner_id, app.owner, "owner", app.created_at, app.created_at)
    others = app.collaborators.select_related("user").order_by("created_at")
    return [
        owner,
        *(Member(one.id, one.user, "collaborator", one.created_at, one.updated_at) for one in others),
    ]


class Collaborators(Resource):
    @extend_schema(operation_id="listCollaborators", responses=CollaboratorSerializer(many=True))
    def get(self, request: Request, app: str) -> Response:
        """List who may work on an app."""
        found = app_of(request, app)
        return render_items(request, CollaboratorSerializer, members(found), ORDERS, context={"app": found})
