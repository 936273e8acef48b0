"""Scheduled commands of the release that serves.

In: GET /apps/APP/cron, an entry by its id.  Out: the entries of its app.json with their last and next times; one that
is paused, goes on, or is started by hand.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.dynos import DynoSerializer, render_dyno
from paas.controller.api.references import Time
from paas.controller.api.resource import Resource, actor, app_of, read
from paas.controller.models import App
from paas.controller.selectors.cron import find_jobs, scheduled, shown
from paas.controller.selectors.dynos import find_dyno
from paas.controller.services import cron


class CronJobSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    command = serializers.CharField()
    schedule = serializers.CharField()
    concurrency_policy = serializers.CharField()
    paused = serializers.BooleanField()
    next_at = Time(allow_null=True)
    last_at = Time(allow_null=True)


class CronJobUpdateSerializer(serializers.Serializer[Any]):
    paused = serializers.BooleanField()


class CronJobs(Resource):
    @extend_schema(operation_id="listCronJobs", responses=CronJobSerializer(many=True))
    def get(self, request: Request, app: str) -> Response:
        """List the scheduled commands of the release that serves (`cron` of its app.json)."""
        return Response(CronJobSerializer(scheduled(app_of(request, app)), many=True).data)


class OneCronJob(Resource):
    @extend_schema(operation_id="getCronJob", responses=CronJobSerializer)
    def get(self, request: Request, app: str, job: str) -> Response:
        """Show one scheduled command."""
        return _one(app_of(request, app), job)

    @extend_schema(operation_id="updateCronJob", request=CronJobUpdateSerializer, responses=CronJobSerializer)
    def patch(self, request: Request, app: str, job: str) -> Response:
        """Pause it, so that it starts by hand only, or let it go on with its next time."""
        found = app_of(request, app)
        cron.set_paused(actor(request), found, job, read(request, CronJobUpdateSerializer)["paused"])
        return _one(found, job)


class RunCronJob(Resource):
    @extend_schema(operation_id="runCronJob", request=None, responses={201: DynoSerializer})
    def post(self, request: Request, app: str, job: str) -> Response:
        """Start a scheduled command now. Its times stay as they are."""
        found = app_of(request, app)
        one_off = cron.run_now(actor(request), found, job)
        return render_dyno(found, find_dyno(found, str(one_off.id)), 201)


def _one(app: App, job: str) -> Response:
    return Response(CronJobSerializer(shown(*find_jobs(app, job)[0])).data)
