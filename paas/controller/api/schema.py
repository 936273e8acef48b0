"""The API's own description.

In: GET /schema.json.  Out: an OpenAPI 3 document made from the views.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.resource import Resource


@cache
def openapi() -> dict[str, Any]:
    """Return the document. The views do not change while the process runs."""
    generator = SchemaGenerator(urlconf="paas.controller.api.urls")  # type: ignore[no-untyped-call]
    document: dict[str, Any] = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return document


class Schema(Resource):
    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """Answer the OpenAPI document."""
        return Response(openapi())
