"""What clients ask about and this platform does not have: empty lists, and 404s in words.

In: requests for add-ons, pipelines and the like.  Out: `[]`, or {id: not_found}.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.resource import Resource, app_of
from paas.errors import NotFound

EMPTY_LIST = {"type": "array", "items": {"type": "object"}, "maxItems": 0}
# Paths under which every request belongs to the API, so that an unknown one is answered as JSON.
NOUNS = (
    "account|accounts|actions|addon-attachments|addon-services|addons|apps|deployments|dyno-sizes|filters|hosts|"
    "oauth|pipeline-couplings|pipeline-promotions|pipelines|regions|review-apps|sources|spaces|stacks|teams|"
    "telemetry-drains|users"
)


class NoneOfThem(Resource):
    """A list that is empty here."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response([])


class NoneOfApp(Resource):
    """A list under an app that is empty here."""

    @extend_schema(exclude=True)
    def get(self, request: Request, app: str) -> Response:
        app_of(request, app)
        return Response([])


class NoPipeline(Resource):
    @extend_schema(exclude=True)
    def get(self, request: Request, app: str) -> Response:
        found = app_of(request, app)
        raise NotFound(f"{found.name} is in no pipeline.", app=found.name, resource="pipeline_coupling")


class Unknown(Resource):
    """Every other path of the API."""

    def _answer(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        raise NotFound(
            f"There is nothing at {request.method} {request.path}; GET /schema.json lists what there is."
        )

    get = post = put = patch = delete = extend_schema(exclude=True)(_answer)
