"""Buildpacks: those that an app names, else those that built what it runs.

In: requests under /apps/APP/buildpack-installations.  Out: Heroku's representation, in order.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.builds import BuildpackSerializer, buildpacks_of
from paas.controller.api.resource import Resource, actor, app_of, read
from paas.controller.models import App
from paas.controller.services.buildpacks import set_buildpacks
from paas.slugbuilder.heroku.references import URN


class BuildpackInstallationSerializer(serializers.Serializer[Any]):
    buildpack = BuildpackSerializer()
    ordinal = serializers.IntegerField()


class BuildpackUpdateSerializer(serializers.Serializer[None]):
    buildpack = serializers.CharField(max_length=600)


class BuildpackUpdatesSerializer(serializers.Serializer[None]):
    updates = BuildpackUpdateSerializer(many=True)


def installations(app: App) -> list[dict[str, Any]]:
    """In order. Without a list of its own: what built the current release."""
    packs = [{"name": text, "url": text if "://" in text else f"{URN}{text}"} for text in app.buildpacks]
    if not packs and app.current_release is not None:
        packs = buildpacks_of(app.current_release.slug)
    return [{"buildpack": pack, "ordinal": ordinal} for ordinal, pack in enumerate(packs)]


class BuildpackInstallations(Resource):
    @extend_schema(
        operation_id="listBuildpackInstallations", responses=BuildpackInstallationSerializer(many=True)
    )
    def get(self, request: Request, app: str) -> Response:
        """List the buildpacks that the app names; without any, those that built its current release."""
        return Response(installations(app_of(request, app)))

    @extend_schema(
        operation_id="updateBuildpackInstallations",
        request=BuildpackUpdatesSerializer,
        responses=BuildpackInstallationSerializer(many=True),
    )
    def put(self, request: Request, app: str) -> Response:
        """Name the buildpacks of the next builds, in order; an empty list goes back to detection."""
        updates = read(request, BuildpackUpdatesSerializer)["updates"]
        named = [one["buildpack"] for one in updates]
        found = app_of(request, app)
        return Response(installations(set_buildpacks(actor(request), found, named)))
