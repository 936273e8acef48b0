"""The account that calls, and how many calls it has left.

In: requests under /account.  Out: Heroku's representation of an account.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api import limits
from paas.controller.api.authentication import (
    BY_PASSWORD,
    BY_TOKEN,
    EVERYONE,
    GLOBAL,
    PasswordAuthentication,
)
from paas.controller.api.references import Constant, Time
from paas.controller.api.resource import Resource, actor, caller, read, render, token_of
from paas.controller.models import User
from paas.controller.services.accounts import change_name, change_password
from paas.errors import InvalidParams, Unauthorized


class AccountSerializer(serializers.Serializer[User]):
    """An account. `admin` sees every app."""

    admin = serializers.BooleanField(source="is_admin")
    allow_tracking = Constant(False)
    beta = Constant(False)
    created_at = Time()
    default_organization = Constant(None)
    default_team = Constant(None)
    delinquent_at = Constant(None)
    eco_dynos_enabled = Constant(False)
    email = serializers.EmailField()
    federated = Constant(False)
    git_url = serializers.SerializerMethodField()
    id = serializers.UUIDField()
    identity_provider = Constant(None)
    last_login = Time(allow_null=True)
    mfa_enabled = Constant(False)
    name = serializers.CharField()
    sms_number = Constant(None)
    suspended_at = Constant(None)
    two_factor_authentication = Constant(False)
    updated_at = Time()
    verified = Constant(True)

    def get_git_url(self, user: User) -> str:
        """Return where repositories are: clients keep credentials for its host."""
        return str(settings.PAAS.git_url)


class AccountChangeSerializer(serializers.Serializer[None]):
    name = serializers.CharField(required=False, allow_blank=True, max_length=200)
    password = serializers.CharField(required=False, trim_whitespace=False, help_text="The current password.")
    new_password = serializers.CharField(required=False, trim_whitespace=False)


class RateLimitSerializer(serializers.Serializer[Any]):
    remaining = serializers.IntegerField()


class Account(Resource):
    authentication_classes = [PasswordAuthentication]
    readers = EVERYONE
    writers = GLOBAL

    @extend_schema(operation_id="getAccount", auth=BY_TOKEN, responses=AccountSerializer)
    def get(self, request: Request) -> Response:
        """Show your account."""
        return render(AccountSerializer, actor(request))

    @extend_schema(
        operation_id="updateAccount",
        auth=BY_PASSWORD,
        request=AccountChangeSerializer,
        responses=AccountSerializer,
    )
    def patch(self, request: Request) -> Response:
        """Change your name, or your password (give the current one as `password`).

        The password also with e-mail address and password as Basic credentials: the first thing after an invitation.
        """
        user, body = actor(request), read(request, AccountChangeSerializer)
        if "new_password" in body:
            if "password" not in body or "name" in body:
                raise InvalidParams(
                    "To change the password send password (the current one) and new_password only."
                )
            _replace_password(user, body["password"], body["new_password"])
        elif token_of(request) is None:
            raise Unauthorized("With a password only the password can be changed; use a token.")
        elif "name" in body:
            change_name(user, body["name"])
        return render(AccountSerializer, user)


def _replace_password(user: User, old: str, new: str) -> None:
    """Change the password. 401 would tell clients that their token is wrong, and it is not."""
    limits.refuse_when_spent(limits.FAILED_LOGINS, str(user.id))
    try:
        change_password(user, old, new)
    except Unauthorized as error:
        limits.spend(limits.FAILED_LOGINS, str(user.id))
        raise InvalidParams(error.message) from error


@extend_schema(exclude=True)
class Me(Account):
    """The same under /users/~."""


class RateLimits(Resource):
    readers = EVERYONE
    counted = False

    @extend_schema(operation_id="getRateLimits", responses=RateLimitSerializer)
    def get(self, request: Request) -> Response:
        """Show how many calls this token has left in this hour."""
        return Response({"remaining": limits.remaining(limits.REQUESTS, caller(request))})
