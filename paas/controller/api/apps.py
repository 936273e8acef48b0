"""Apps: list, create, show, change, destroy.

In: requests under /apps.  Out: Heroku's representation of an app.
"""

from __future__ import annotations

import os
from pathlib import Path

from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.ranges import Field, uuid_field
from paas.controller.api.references import (
    REGION,
    Constant,
    NamedReferenceSerializer,
    Time,
    UserReferenceSerializer,
    stack_ids,
    stack_reference,
)
from paas.controller.api.resource import Resource, actor, app_of, read, render, render_rows
from paas.controller.models import App
from paas.controller.selectors.apps import git_url, visible_apps, web_url
from paas.controller.services.apps import (
    create_app,
    destroy_app,
    rename_app,
    repository_path,
    set_maintenance,
    set_stack,
)
from paas.errors import InvalidParams

ORDERS = {"name": Field("name"), "id": uuid_field()}


class AppSerializer(serializers.Serializer[App]):
    """An app. Context `stack_ids`: ids of the stacks by name."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    acm = Constant(False)
    archived_at = Constant(None)
    build_stack = serializers.SerializerMethodField()
    buildpack_provided_description = serializers.SerializerMethodField()
    create_status = Constant("complete")
    created_at = Time()
    generation = Constant("cedar")
    git_url = serializers.SerializerMethodField()
    internal_routing = Constant(None)
    maintenance = serializers.BooleanField()
    organization = Constant(None)
    owner = UserReferenceSerializer()
    process_tier = Constant("production")
    region = serializers.SerializerMethodField()
    released_at = Time(allow_null=True)
    repo_size = serializers.SerializerMethodField()
    slug_size = serializers.SerializerMethodField()
    space = Constant(None)
    stack = serializers.SerializerMethodField()
    team = Constant(None)
    updated_at = Time()
    web_url = serializers.SerializerMethodField()

    def get_git_url(self, app: App) -> str:
        return git_url(app)

    def get_web_url(self, app: App) -> str:
        return web_url(app)

    @extend_schema_field(NamedReferenceSerializer)
    def get_region(self, app: App) -> dict[str, str]:
        return REGION

    @extend_schema_field(NamedReferenceSerializer)
    def get_stack(self, app: App) -> dict[str, str]:
        return stack_reference(self._running_stack(app), self.context["stack_ids"])

    @extend_schema_field(NamedReferenceSerializer)
    def get_build_stack(self, app: App) -> dict[str, str]:
        return stack_reference(app.stack, self.context["stack_ids"])

    def get_repo_size(self, app: App) -> int:
        return size_of(Path(repository_path(app)) / "objects" / "pack")

    def get_slug_size(self, app: App) -> int:
        release = app.current_release
        return release.slug.size if release and release.slug else 0

    def get_buildpack_provided_description(self, app: App) -> str | None:
        release = app.current_release
        packs = release.slug.buildpacks if release and release.slug else []
        return ", ".join(str(pack["name"]) for pack in packs) or None

    def _running_stack(self, app: App) -> str:
        release = app.current_release
        return release.stack if release and release.slug else app.stack


def size_of(folder: Path) -> int:
    """Return the bytes of the files in a folder; 0 before the first push has made it."""
    try:
        return sum(entry.stat().st_size for entry in os.scandir(folder))
    except FileNotFoundError:
        return 0


class NewAppSerializer(serializers.Serializer[None]):
    name = serializers.CharField(required=False, allow_null=True)
    region = serializers.JSONField(
        required=False, allow_null=True, help_text="Accepted and ignored: there is one."
    )
    stack = serializers.JSONField(required=False, allow_null=True, help_text='A name, or {"name": ...}.')


class AppChangeSerializer(serializers.Serializer[None]):
    name = serializers.CharField(required=False)
    maintenance = serializers.BooleanField(required=False)
    build_stack = serializers.JSONField(required=False, help_text='A name, or {"name": ...}.')


def stack_name(value: object) -> str | None:
    """Return the name in a reference to a stack: text, or an object with a name."""
    name = value.get("name") or value.get("id") if isinstance(value, dict) else value
    if name is None or isinstance(name, str):
        return name
    raise InvalidParams("stack: give the name of a stack; GET /stacks lists them.")


def render_app(app: App, status: int = 200) -> Response:
    return render(AppSerializer, app, status=status, context={"stack_ids": stack_ids()})


def render_apps(request: Request, apps: QuerySet[App]) -> Response:
    rows = apps.select_related("owner", "current_release__slug")
    return render_rows(request, AppSerializer, rows, ORDERS, context={"stack_ids": stack_ids()})


class Apps(Resource):
    @extend_schema(operation_id="listApps", responses=AppSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the apps that you may work on."""
        return render_apps(request, visible_apps(actor(request)))

    @extend_schema(operation_id="createApp", request=NewAppSerializer, responses={201: AppSerializer})
    def post(self, request: Request) -> Response:
        """Create an app. Without a name it gets one."""
        body = read(request, NewAppSerializer)
        app = create_app(actor(request), body.get("name"), stack=stack_name(body.get("stack")))
        return render_app(app, status=201)


class OwnApps(Resource):
    @extend_schema(operation_id="listOwnApps", responses=AppSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the apps that you own or that are shared with you."""
        user = actor(request)
        own = App.objects.filter(Q(owner=user) | Q(collaborators__user=user)).values("id")
        return render_apps(request, visible_apps(user).filter(id__in=own))


class OneApp(Resource):
    @extend_schema(operation_id="getApp", responses=AppSerializer)
    def get(self, request: Request, app: str) -> Response:
        """Show an app, by name or id."""
        return render_app(app_of(request, app))

    @extend_schema(operation_id="updateApp", request=AppChangeSerializer, responses=AppSerializer)
    def patch(self, request: Request, app: str) -> Response:
        """Rename an app, switch its maintenance mode, or choose the stack of its next build."""
        found, user = app_of(request, app), actor(request)
        body = read(request, AppChangeSerializer)
        if len(body) > 1:
            raise InvalidParams("Change one of name, maintenance and build_stack at a time.")
        if "name" in body:
            found = rename_app(user, found, body["name"])
        if "maintenance" in body:
            found = set_maintenance(user, found, body["maintenance"])
        if "build_stack" in body:
            found = set_stack(user, found, stack_name(body["build_stack"]) or "")
        return render_app(found)

    @extend_schema(operation_id="deleteApp", request=None, responses=AppSerializer)
    def delete(self, request: Request, app: str) -> Response:
        """Destroy an app with everything that belongs to it."""
        found = app_of(request, app)
        answer = render_app(found)  # as it was: the row is gone afterwards
        destroy_app(actor(request), found)
        return answer
