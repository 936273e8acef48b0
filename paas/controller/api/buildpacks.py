"""Buildpacks that built what an app runs.

In: requests under /apps/APP/buildpack-installations.  Out: Heroku's representation, in order.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.builds import BuildpackSerializer, buildpacks_of
from paas.controller.api.resource import Resource, app_of


class BuildpackInstallationSerializer(serializers.Serializer[Any]):
    buildpack = BuildpackSerializer()
    ordinal = serializers.IntegerField()


class BuildpackInstallations(Resource):
    @extend_schema(
        operation_id="listBuildpackInstallations", responses=BuildpackInstallationSerializer(many=True)
    )
    def get(self, request: Request, app: str) -> Response:
        """List the buildpacks of the current release; they are detected from the source."""
        release = app_of(request, app).current_release
        packs = buildpacks_of(release.slug if release else None)
        return Response([{"buildpack": pack, "ordinal": ordinal} for ordinal, pack in enumerate(packs)])
