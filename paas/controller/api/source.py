"""Where the code of an app comes from besides its own repository here.

In: requests under /apps/APP/source.  Out: repository, branch, folder, the hook's URL; builds.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.builds import BuildSerializer, render_build
from paas.controller.api.rendering import origin
from paas.controller.api.resource import Resource, actor, app_of, read
from paas.controller.models import App, Source
from paas.controller.services import sources
from paas.errors import InvalidParams


class AppSourceSerializer(serializers.Serializer[Any]):
    """`secret` of the hook is there once, when it was made; token and private key never are."""

    path = serializers.CharField()
    url = serializers.CharField(allow_null=True)
    branch = serializers.CharField(allow_null=True)
    automatic = serializers.BooleanField()
    token = serializers.BooleanField()
    deploy_key = serializers.CharField(allow_null=True)
    hook_url = serializers.CharField(allow_null=True)
    secret = serializers.CharField(allow_null=True)


class SourceUpdateSerializer(serializers.Serializer[None]):
    path = serializers.CharField(required=False, allow_blank=True, max_length=600)
    url = serializers.CharField(required=False, max_length=600)
    branch = serializers.CharField(required=False, max_length=300)
    token = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=4000)
    token_user = serializers.RegexField(
        r"^[A-Za-z0-9._@-]*\Z", required=False, allow_blank=True, max_length=100
    )
    automatic = serializers.BooleanField(required=False)


class DeploySourceSerializer(serializers.Serializer[None]):
    ref = serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=300)


def shown(request: Request, app: App, secret: str = "") -> Response:
    source = Source.objects.filter(app=app).first()
    answer = {
        "path": app.source_path,
        "url": source.url if source else None,
        "branch": source.branch if source else None,
        "automatic": bool(source and source.automatic),
        "token": bool(source and source.token_encrypted),
        "deploy_key": (source.public_key or None) if source else None,
        "hook_url": f"{origin(request._request)}/hooks/{source.id}" if source else None,
        "secret": secret or None,
    }
    return Response(answer)


class AppSource(Resource):
    @extend_schema(operation_id="getAppSource", responses=AppSourceSerializer)
    def get(self, request: Request, app: str) -> Response:
        """Show the repository that an app is connected to, and the folder that is built."""
        return shown(request, app_of(request, app))

    @extend_schema(
        operation_id="updateAppSource", request=SourceUpdateSerializer, responses=AppSourceSerializer
    )
    def patch(self, request: Request, app: str) -> Response:
        """Connect a repository (`url`), change how it is used, or choose the folder that is built (`path`)."""
        found, user, given = app_of(request, app), actor(request), read(request, SourceUpdateSerializer)
        secret = ""
        with transaction.atomic():  # a secret that is shown once is not lost to a path that is refused
            if given.keys() - {"path"}:
                _, secret = sources.connect(user, found, wanted(found, given))
            if "path" in given:
                found = sources.set_path(user, found, given["path"])
        return shown(request, found, secret)

    @extend_schema(operation_id="deleteAppSource", responses={204: None})
    def delete(self, request: Request, app: str) -> Response:
        """Disconnect the repository: hooks are refused, token and key are forgotten."""
        sources.disconnect(actor(request), app_of(request, app))
        return Response(status=204)


def wanted(app: App, given: dict[str, Any]) -> sources.Repository:
    """What is given over what there is. Raises InvalidParams when there is no URL yet."""
    before = Source.objects.filter(app=app).first()
    url = given.get("url") or (before.url if before else "")
    if not url:
        raise InvalidParams("Say which repository with `url`.")
    return sources.Repository(
        url=url,
        branch=given.get("branch") or (before.branch if before else "main"),
        token=given.get("token"),
        token_user=given.get("token_user", before.token_user if before else ""),
        automatic=given.get("automatic", before.automatic if before else True),
        again="url" in given,
    )


class DeploySource(Resource):
    @extend_schema(
        operation_id="deployAppSource", request=DeploySourceSerializer, responses={201: BuildSerializer}
    )
    def post(self, request: Request, app: str) -> Response:
        """Build and release a branch, tag or commit of the repository; by default the newest of its branch."""
        found = app_of(request, app)
        ref = read(request, DeploySourceSerializer).get("ref") or ""
        return render_build(request, sources.deploy(actor(request), found, ref), 201)


class NewSecret(Resource):
    @extend_schema(operation_id="replaceHookSecret", request=None, responses=AppSourceSerializer)
    def post(self, request: Request, app: str) -> Response:
        """Replace the secret of the hook. The answer has the new one, this once."""
        found = app_of(request, app)
        _, secret = sources.new_secret(actor(request), found)
        return shown(request, found, secret)
