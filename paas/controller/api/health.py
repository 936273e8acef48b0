"""Whether this process can do its work, for monitors and load balancers.

In: GET /health.  Out: 200 or 503, with the state of the database and of Redis.
"""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError, connection
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.resource import Resource
from paas.controller.redis_connection import RedisError, client


class HealthSerializer(serializers.Serializer[Any]):
    database = serializers.BooleanField()
    redis = serializers.BooleanField()


class Health(Resource):
    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="getHealth", auth=[], responses={200: HealthSerializer, 503: HealthSerializer}
    )
    def get(self, request: Request) -> Response:
        """Check that the database and Redis answer."""
        parts = {"database": database_answers(), "redis": redis_answers()}
        return Response(parts, status=200 if all(parts.values()) else 503)


def database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return bool(cursor.fetchone())
    except DatabaseError:
        return False


def redis_answers() -> bool:
    try:
        return bool(client().ping())
    except RedisError:
        return False
