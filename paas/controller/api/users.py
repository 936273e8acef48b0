"""The accounts of the platform, for its administrators.

In: requests under /users.  Out: one object per account; a password that was made for somebody, once.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.authentication import GLOBAL
from paas.controller.api.ranges import Field, uuid_field
from paas.controller.api.references import Time
from paas.controller.api.resource import Resource, actor, read, render, render_rows
from paas.controller.models import User
from paas.controller.selectors.users import find_user, users
from paas.controller.services.users import (
    check_admin,
    delete_user,
    invite_user,
    reset_password,
    set_active,
    set_admin,
)
from paas.errors import InvalidParams

ORDERS = {"email": Field("email"), "id": uuid_field(), "created_at": Field("created_at")}


class UserSerializer(serializers.Serializer[User]):
    """An account. `invited`: its person has not replaced the password that an administrator made."""

    active = serializers.BooleanField(source="is_active")
    admin = serializers.BooleanField(source="is_admin")
    apps = serializers.IntegerField(source="app_count", help_text="How many apps it owns.")
    created_at = Time()
    email = serializers.EmailField()
    id = serializers.UUIDField()
    invited = serializers.BooleanField(source="password_temporary")
    last_login = Time(allow_null=True)
    name = serializers.CharField()
    updated_at = Time()


class UserWithPasswordSerializer(UserSerializer):
    """The same with the password that was made by this request, which is shown in this answer only."""

    password = serializers.SerializerMethodField()

    def get_password(self, user: User) -> str | None:
        password: str | None = self.context.get("password")
        return password


class NewUserSerializer(serializers.Serializer[None]):
    email = serializers.CharField(max_length=254)
    name = serializers.CharField(required=False, allow_blank=True, max_length=200)
    admin = serializers.BooleanField(required=False, default=False)


class UserChangeSerializer(serializers.Serializer[None]):
    active = serializers.BooleanField(required=False, help_text="False: the account is refused everywhere.")
    admin = serializers.BooleanField(required=False)
    reset_password = serializers.BooleanField(
        required=False, help_text="True: make a password that its person has to replace."
    )


class AdminResource(Resource):
    """An endpoint for administrators."""

    readers = GLOBAL
    writers = GLOBAL

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        check_admin(actor(request))


class Users(AdminResource):
    @extend_schema(operation_id="listUsers", responses=UserSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the accounts. For administrators."""
        return render_rows(request, UserSerializer, users(), ORDERS)

    @extend_schema(
        operation_id="createUser", request=NewUserSerializer, responses={201: UserWithPasswordSerializer}
    )
    def post(self, request: Request) -> Response:
        """Make an account. Its password is in this answer only, and has to be replaced by its person."""
        body = read(request, NewUserSerializer)
        user, password = invite_user(
            actor(request), body["email"], name=body.get("name", ""), is_admin=body["admin"]
        )
        return _with_password(user, password, status=201)


class OneUser(AdminResource):
    @extend_schema(operation_id="getUser", responses=UserSerializer)
    def get(self, request: Request, user: str) -> Response:
        """Show an account, by e-mail address or id."""
        return render(UserSerializer, find_user(user))

    @extend_schema(
        operation_id="updateUser", request=UserChangeSerializer, responses=UserWithPasswordSerializer
    )
    def patch(self, request: Request, user: str) -> Response:
        """Disable or enable an account, make it an administrator's or not, or replace its password."""
        found, body = find_user(user), read(request, UserChangeSerializer)
        if len(body) != 1 or body.get("reset_password") is False:
            raise InvalidParams("Change one of active, admin and reset_password (true) at a time.")
        if "active" in body:
            return _with_password(set_active(actor(request), found, body["active"]), None)
        if "admin" in body:
            return _with_password(set_admin(actor(request), found, body["admin"]), None)
        return _with_password(*reset_password(actor(request), found))

    @extend_schema(operation_id="deleteUser", request=None, responses=UserSerializer)
    def delete(self, request: Request, user: str) -> Response:
        """Delete an account that owns no apps, with its tokens."""
        return render(UserSerializer, delete_user(actor(request), find_user(user)))


def _with_password(user: User, password: str | None, status: int = 200) -> Response:
    response = render(UserWithPasswordSerializer, user, status=status, context={"password": password})
    response.headers["Cache-Control"] = "no-store"
    return response
