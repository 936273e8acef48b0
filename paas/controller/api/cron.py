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
from paas.controller.models import App, CronJob
from paas.controller.services.cron import entries


class CronJobSerializer(serializers.Serializer[Any]):
    command = serializers.CharField()
    schedule = serializers.CharField()
    concurrency_policy = serializers.CharField()
    next_at = Time()
    last_at = Time(allow_null=True)


def jobs(app: App) -> list[dict[str, Any]]:
    """In the order of app.json. Rows of an older release that nobody has cleared away yet are left out."""
    declared = entries(app)
    rows = CronJob.objects.filter(app=app, number__lt=len(declared)).order_by("number")
    return [
        {
            "command": row.command,
            "schedule": row.schedule,
            "concurrency_policy": declared[row.number].get("policy", "allow"),
            "next_at": row.next_at,
            "last_at": row.last_at,
        }
        for row in rows
        if (declared[row.number]["command"], declared[row.number]["schedule"]) == (row.command, row.schedule)
    ]


class CronJobs(Resource):
    @extend_schema(operation_id="listCronJobs", responses=CronJobSerializer(many=True))
    def get(self, request: Request, app: str) -> Response:
        """List the scheduled commands of the release that serves (`cron` of its app.json)."""
        return Response(CronJobSerializer(jobs(app_of(request, app)), many=True).data)
