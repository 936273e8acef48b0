"""API tokens, as OAuth authorizations.

In: requests under /oauth.  Out: Heroku's representation; the token itself only where the caller knows it already.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.authentication import (
    BY_PASSWORD,
    BY_TOKEN,
    GLOBAL,
    SCOPES,
    LoginAuthentication,
    read_credentials,
)
from paas.controller.api.ranges import Field, uuid_field
from paas.controller.api.references import Constant, EmptySerializer, Time
from paas.controller.api.resource import Resource, actor, get_row, read, render, render_rows, token_of
from paas.controller.models import Token
from paas.controller.services.accounts import create_token, describe_token, revoke_token
from paas.errors import NotFound

ORDERS = {"id": uuid_field(), "created_at": Field("created_at")}
LONGEST = 10 * 365 * 24 * 3600


class AccessTokenSerializer(serializers.Serializer[Any]):
    expires_in = serializers.IntegerField(allow_null=True)
    id = serializers.UUIDField()
    token = serializers.CharField()


class OauthUserSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    email = serializers.CharField()
    full_name = serializers.CharField(source="name")


class AuthorizationSerializer(serializers.Serializer[Token]):
    """A token. Context `plain`: the text of tokens that the caller holds, by id; of others only a hash is kept."""

    access_token = serializers.SerializerMethodField()
    client = Constant(None)
    created_at = Time()
    description = serializers.CharField()
    grant = Constant(None)
    id = serializers.UUIDField()
    last_used_at = Time(allow_null=True)
    refresh_token = Constant(None)
    scope = serializers.ListField(child=serializers.CharField())
    session = Constant(None)
    updated_at = Time()
    user = OauthUserSerializer()

    @extend_schema_field(AccessTokenSerializer(allow_null=True))
    def get_access_token(self, token: Token) -> dict[str, Any] | None:
        plain: dict[UUID, str] = self.context["plain"]
        if token.id not in plain:
            return None
        left = int((token.expires_at - timezone.now()).total_seconds()) if token.expires_at else None
        return {"expires_in": left, "id": str(token.id), "token": plain[token.id]}


class NewAuthorizationSerializer(serializers.Serializer[None]):
    description = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=200)
    expires_in = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=LONGEST)
    scope = serializers.MultipleChoiceField(choices=SCOPES, required=False, allow_empty=False)
    client = serializers.JSONField(required=False, allow_null=True)


class AuthorizationChangeSerializer(serializers.Serializer[None]):
    description = serializers.CharField(required=False, allow_blank=True, max_length=200)
    client = serializers.JSONField(required=False, allow_null=True)


def held_tokens(request: Request) -> dict[UUID, str]:
    """Return the plain text of the token that made this request."""
    token = token_of(request)
    return {token.id: read_credentials(request.headers["Authorization"])[1]} if token else {}


def find_token(request: Request, identity: str) -> Token:
    """Return one of the caller's tokens by id; `~` is the one in use."""
    current = token_of(request)
    if identity == "~" and current is not None:
        return current
    rows = Token.objects.filter(user=actor(request)).select_related("user")
    return get_row(rows, "Couldn't find that authorization.", "authorization", id=identity)


def render_token(request: Request, token: Token) -> Response:
    return render(AuthorizationSerializer, token, context={"plain": held_tokens(request)})


class Authorizations(Resource):
    authentication_classes = [LoginAuthentication]
    readers = GLOBAL
    writers = GLOBAL

    @extend_schema(
        operation_id="listAuthorizations", auth=BY_TOKEN, responses=AuthorizationSerializer(many=True)
    )
    def get(self, request: Request) -> Response:
        """List your tokens. Only the one in use shows its text."""
        rows = Token.objects.filter(user=actor(request)).select_related("user")
        return render_rows(
            request, AuthorizationSerializer, rows, ORDERS, context={"plain": held_tokens(request)}
        )

    @extend_schema(
        operation_id="createAuthorization",
        auth=BY_PASSWORD,
        request=NewAuthorizationSerializer,
        responses={201: AuthorizationSerializer},
    )
    def post(self, request: Request) -> Response:
        """Make a token: with a token, or with e-mail address and password as Basic credentials."""
        body = read(request, NewAuthorizationSerializer)
        token, plain = create_token(
            actor(request),
            description=body.get("description") or "",
            expires_in=body.get("expires_in"),
            scope=sorted(body.get("scope") or ["global"]),
        )
        return render(AuthorizationSerializer, token, status=201, context={"plain": {token.id: plain}})


class OneAuthorization(Resource):
    readers = GLOBAL
    writers = GLOBAL

    @extend_schema(operation_id="getAuthorization", responses=AuthorizationSerializer)
    def get(self, request: Request, authorization: str) -> Response:
        """Show a token of yours; `~` is the one in use.

        Under `~` its text is left out: Heroku's clients take what `~` shows for a key that must outlive a logout,
        and would not revoke it.
        """
        token = find_token(request, authorization)
        held = {} if authorization == "~" else held_tokens(request)
        return render(AuthorizationSerializer, token, context={"plain": held})

    @extend_schema(
        operation_id="updateAuthorization",
        request=AuthorizationChangeSerializer,
        responses=AuthorizationSerializer,
    )
    def patch(self, request: Request, authorization: str) -> Response:
        """Describe a token of yours."""
        token, body = find_token(request, authorization), read(request, AuthorizationChangeSerializer)
        if "description" in body:
            token = describe_token(actor(request), token, body["description"])
        return render_token(request, token)

    @extend_schema(operation_id="deleteAuthorization", request=None, responses=AuthorizationSerializer)
    def delete(self, request: Request, authorization: str) -> Response:
        """Revoke a token of yours."""
        token = find_token(request, authorization)
        held = held_tokens(request)
        return render(
            AuthorizationSerializer, revoke_token(actor(request), token.id), context={"plain": held}
        )


class Session(Resource):
    @extend_schema(operation_id="deleteSession", request=None, responses={404: EmptySerializer})
    def delete(self, request: Request, session: str) -> Response:
        """There are no browser sessions in the API; clients ask when they log out."""
        raise NotFound("Couldn't find that session.", resource="session")
