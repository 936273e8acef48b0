"""Scheduled commands of the release that serves.

In: GET /apps/APP/cron.  Out: the entries of its app.json with their last and next times.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.references import Time
from paas.controller.api.resource import Resource, app_of
from paas.controller.selectors.cron import scheduled


class CronJobSerializer(serializers.Serializer[Any]):
    command = serializers.CharField()
    schedule = serializers.CharField()
    concurrency_policy = serializers.CharField()
    next_at = Time()
    last_at = Time(allow_null=True)


class CronJobs(Resource):
    @extend_schema(operation_id="listCronJobs", responses=CronJobSerializer(many=True))
    def get(self, request: Request, app: str) -> Response:
        """List the scheduled commands of the release that serves (`cron` of its app.json)."""
        return Response(CronJobSerializer(scheduled(app_of(request, app)), many=True).data)
