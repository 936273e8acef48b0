"""Who may work on an app.

In: requests under /apps/APP/collaborators.  Out: Heroku's representation of a collaborator, the owner first.
"""

from __future__ import annotations

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.authentication import GLOBAL
from paas.controller.api.ranges import Field, uuid_field
from paas.controller.api.references import (
    Constant,
    NamedReferenceSerializer,
    Time,
    UserReferenceSerializer,
    app_reference,
)
from paas.controller.api.resource import Resource, actor, app_of, read, render, render_items
from paas.controller.models import App
from paas.controller.selectors.collaborators import Member, find_member, members
from paas.controller.services.collaborators import add_collaborator, remove_collaborator
from paas.errors import InvalidParams

ORDERS = {"id": uuid_field(), "created_at": Field("created_at")}


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


class NewCollaboratorSerializer(serializers.Serializer[None]):
    user = serializers.JSONField(help_text='E-mail address or id of an account, or {"email": ...}.')
    silent = serializers.BooleanField(
        required=False, help_text="Accepted and ignored: the platform sends no mail."
    )


def account_name(value: object, field: str) -> str:
    """Return address or id in a reference to an account: text, or an object with one of them."""
    name = value.get("email") or value.get("id") if isinstance(value, dict) else value
    if isinstance(name, str) and name.strip():
        return name
    raise InvalidParams(f"{field}: give the e-mail address or the id of an account.")


def render_member(app: App, member: Member, status: int = 200) -> Response:
    return render(CollaboratorSerializer, member, status=status, context={"app": app})


class Collaborators(Resource):
    writers = GLOBAL  # a token that deploys must not be able to let others in

    @extend_schema(operation_id="listCollaborators", responses=CollaboratorSerializer(many=True))
    def get(self, request: Request, app: str) -> Response:
        """List who may work on an app."""
        found = app_of(request, app)
        return render_items(request, CollaboratorSerializer, members(found), ORDERS, context={"app": found})

    @extend_schema(
        operation_id="createCollaborator",
        request=NewCollaboratorSerializer,
        responses={201: CollaboratorSerializer},
    )
    def post(self, request: Request, app: str) -> Response:
        """Let an account work on an app. For its owner and administrators."""
        found, body = app_of(request, app), read(request, NewCollaboratorSerializer)
        added = add_collaborator(actor(request), found, account_name(body["user"], "user"))
        return render_member(found, find_member(found, str(added.id)), status=201)


class OneCollaborator(Resource):
    writers = GLOBAL

    @extend_schema(operation_id="getCollaborator", responses=CollaboratorSerializer)
    def get(self, request: Request, app: str, collaborator: str) -> Response:
        """Show one of those who may work on an app, by e-mail address or id."""
        found = app_of(request, app)
        return render_member(found, find_member(found, collaborator))

    @extend_schema(operation_id="deleteCollaborator", request=None, responses=CollaboratorSerializer)
    def delete(self, request: Request, app: str, collaborator: str) -> Response:
        """End somebody's work on an app, by e-mail address or id. For its owner and administrators, and for oneself."""
        found = app_of(request, app)
        return render_member(found, remove_collaborator(actor(request), found, collaborator))
