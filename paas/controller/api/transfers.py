"""Giving an app to another account.

In: requests under /account/app-transfers.  Out: Heroku's representation of a transfer, accepted as soon as it is made.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.authentication import GLOBAL
from paas.controller.api.collaborators import account_name
from paas.controller.api.references import (
    NamedReferenceSerializer,
    UserReferenceSerializer,
    app_reference,
    timestamp,
    user_reference,
)
from paas.controller.api.resource import Resource, actor, app_of, read
from paas.controller.services.collaborators import transfer_app
from paas.errors import InvalidParams


class TransferSerializer(serializers.Serializer[Any]):
    """A transfer. `state` is `accepted`: both accounts are on this platform, nothing waits."""

    app = NamedReferenceSerializer()
    created_at = serializers.DateTimeField()
    id = serializers.UUIDField()
    owner = UserReferenceSerializer()
    recipient = UserReferenceSerializer()
    state = serializers.CharField()
    updated_at = serializers.DateTimeField()


class NewTransferSerializer(serializers.Serializer[None]):
    app = serializers.JSONField(help_text='Name or id of an app, or {"name": ...}.')
    recipient = serializers.JSONField(help_text='E-mail address or id of an account, or {"email": ...}.')
    silent = serializers.BooleanField(
        required=False, help_text="Accepted and ignored: the platform sends no mail."
    )


class AppTransfers(Resource):
    writers = GLOBAL

    @extend_schema(operation_id="listAppTransfers", responses=TransferSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the transfers that wait for an answer: none ever does."""
        return Response([])

    @extend_schema(
        operation_id="createAppTransfer", request=NewTransferSerializer, responses={201: TransferSerializer}
    )
    def post(self, request: Request) -> Response:
        """Give an app to another account, at once. The owner until now stays as a collaborator."""
        body = read(request, NewTransferSerializer)
        found = app_of(request, app_name(body["app"]))
        before = found.owner
        app = transfer_app(actor(request), found, account_name(body["recipient"], "recipient"))
        now = timestamp(timezone.now())
        answer = {
            "app": app_reference(app),
            "created_at": now,
            "id": str(uuid4()),
            "owner": user_reference(before),
            "recipient": user_reference(app.owner),
            "state": "accepted",
            "updated_at": now,
        }
        return Response(answer, status=201)


def app_name(value: object) -> str:
    """Return name or id in a reference to an app: text, or an object with one of them."""
    name = value.get("name") or value.get("id") if isinstance(value, dict) else value
    if isinstance(name, str) and name.strip():
        return name
    raise InvalidParams("app: give the name or the id of an app.")
