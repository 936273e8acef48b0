"""Deployments: how each release went live, with seconds per phase.

In: requests under /apps/APP/deployments.  Out: one object per deployment.
"""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.ranges import Field, uuid_field
from paas.controller.api.references import NamedReferenceSerializer, ReleaseReferenceSerializer, Time
from paas.controller.api.resource import Resource, app_of, get_row, render, render_rows
from paas.controller.models import Deployment

ORDERS = {"created_at": Field("created_at"), "id": uuid_field()}


class DeploymentSerializer(serializers.Serializer[Deployment]):
    """The switch of an app to a release. `timings`: seconds per phase; `live_at`: when every router had it."""

    app = NamedReferenceSerializer()
    created_at = Time()
    error_id = serializers.CharField()
    finished_at = Time(allow_null=True)
    id = serializers.UUIDField()
    live_at = Time(allow_null=True)
    message = serializers.CharField()
    phase = serializers.CharField()
    phase_since = Time()
    release = ReleaseReferenceSerializer()
    status = serializers.CharField()
    timings = serializers.DictField(child=serializers.FloatField())
    updated_at = Time()


class Deployments(Resource):
    @extend_schema(operation_id="listDeployments", responses=DeploymentSerializer(many=True))
    def get(self, request: Request, app: str) -> Response:
        """List the deployments of an app, oldest first."""
        rows = Deployment.objects.filter(app=app_of(request, app)).select_related("app", "release")
        return render_rows(request, DeploymentSerializer, rows, ORDERS)


class OneDeployment(Resource):
    @extend_schema(operation_id="getDeployment", responses=DeploymentSerializer)
    def get(self, request: Request, app: str, deployment: str) -> Response:
        """Show a deployment."""
        found = app_of(request, app)
        rows = Deployment.objects.filter(app=found).select_related("app", "release")
        message = f"Couldn't find that deployment of {found.name}."
        return render(DeploymentSerializer, get_row(rows, message, "deployment", id=deployment))
