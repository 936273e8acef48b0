"""Config vars of an app and of one of its releases.

In: requests under /apps/APP/config-vars.  Out: a flat object of strings.
"""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.authentication import PROTECTED
from paas.controller.api.resource import Resource, actor, app_of
from paas.controller.selectors.config import config_vars, release_config
from paas.controller.selectors.releases import find_release
from paas.controller.services.config import set_config
from paas.errors import InvalidParams

VARS = {"type": "object", "additionalProperties": {"type": "string"}}
CHANGES = {"type": "object", "additionalProperties": {"type": "string", "nullable": True}}


def read_changes(body: object) -> dict[str, str | None]:
    """Check that every value is a string, or null to unset. Names and sizes are the service's business."""
    assert isinstance(body, dict)
    for name, value in body.items():
        if value is not None and not isinstance(value, str):
            raise InvalidParams(f"The value of {name} must be a string, or null to unset it.")
    return body


class ConfigVars(Resource):
    readers = PROTECTED
    writers = PROTECTED - {"read-protected"}

    @extend_schema(operation_id="listConfigVars", responses={(200, "application/json"): VARS})
    def get(self, request: Request, app: str) -> Response:
        """Show the config vars of the newest release."""
        return Response(config_vars(app_of(request, app)))

    @extend_schema(
        operation_id="updateConfigVars",
        request={"application/json": CHANGES},
        responses={(200, "application/json"): VARS},
    )
    def patch(self, request: Request, app: str) -> Response:
        """Set and unset (null) config vars, which makes a release. Answers all of them."""
        found = app_of(request, app)
        set_config(actor(request), found, read_changes(request.data))
        return Response(config_vars(found))


class ReleaseConfigVars(Resource):
    readers = PROTECTED

    @extend_schema(
        operation_id="listReleaseConfigVars", responses={(200, "application/json"): OpenApiTypes.OBJECT}
    )
    def get(self, request: Request, app: str, release: str) -> Response:
        """Show the config vars that a release has frozen."""
        return Response(release_config(find_release(app_of(request, app), release)))
