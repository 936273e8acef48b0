"""How runs ended that nobody had asked to end.

In: requests under /apps/APP/crashes.  Out: why, and the first and last lines of each.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.ranges import Field
from paas.controller.api.references import Time
from paas.controller.api.resource import Resource, app_of, render_items
from paas.controller.selectors.crashes import CrashReport, crashes

ORDERS = {"id": Field("id", int)}
RELEASE = {"type": "object", "properties": {"version": {"type": "integer"}}, "required": ["version"]}


class CrashSerializer(serializers.Serializer[CrashReport]):
    code = serializers.IntegerField(allow_null=True)
    created_at = Time(source="at")
    dyno = serializers.CharField()
    first_lines = serializers.ListField(child=serializers.CharField())
    host = serializers.CharField()
    id = serializers.IntegerField()
    last_lines = serializers.ListField(child=serializers.CharField())
    message = serializers.CharField()
    ran_seconds = serializers.FloatField(allow_null=True)
    reason = serializers.CharField()
    release = serializers.SerializerMethodField()
    run = serializers.IntegerField()
    signal = serializers.IntegerField(allow_null=True)
    started_at = Time(allow_null=True)

    @extend_schema_field(RELEASE)
    def get_release(self, crash: CrashReport) -> dict[str, Any]:
        return {"version": crash.version}


class Crashes(Resource):
    @extend_schema(
        operation_id="listCrashes",
        parameters=[OpenApiParameter("dyno", OpenApiTypes.STR, description="A dyno, or a process type.")],
        responses=CrashSerializer(many=True),
    )
    def get(self, request: Request, app: str) -> Response:
        """List the newest crashes, the last first."""
        found = crashes(app_of(request, app), dyno=request.query_params.get("dyno", ""))
        return render_items(request, CrashSerializer, found, ORDERS)
