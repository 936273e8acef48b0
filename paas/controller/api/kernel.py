"""Kernel parameters of an app.

In: requests under /apps/APP/kernel.  Out: sysctls and ulimits as flat objects of strings.
"""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.resource import Resource, actor, app_of
from paas.controller.selectors.kernel import kernel_parameters
from paas.controller.services.kernel import set_kernel
from paas.errors import InvalidParams

PARTS = ("sysctls", "ulimits")
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
TEXTS_OR_NULL = {
    "type": "object",
    "additionalProperties": {"oneOf": [{"type": "string"}, {"type": "integer"}], "nullable": True},
}
PARAMETERS = {"type": "object", "properties": dict.fromkeys(PARTS, TEXTS), "required": list(PARTS)}
CHANGES = {
    "type": "object",
    "properties": dict.fromkeys(PARTS, TEXTS_OR_NULL),
    "additionalProperties": False,
}


def read_changes(body: object) -> dict[str, dict[str, str | None]]:
    """Return the changes as texts. Numbers may be numbers; names and ranges are the service's business."""
    assert isinstance(body, dict)
    for part in body:
        if part not in PARTS:
            raise InvalidParams(f"{part!r} is no kind of kernel parameter: give {' or '.join(PARTS)}.")
    return {part: _texts(part, changes) for part, changes in body.items()}


def _texts(part: str, changes: object) -> dict[str, str | None]:
    if not isinstance(changes, dict):
        raise InvalidParams(f"{part} must be an object of names and values.")
    return {name: _text(name, value) for name, value in changes.items()}


def _text(name: str, value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise InvalidParams(f"The value of {name} must be a string or a number, or null to unset it.")
    return None if value is None else str(value)


class Kernel(Resource):
    @extend_schema(operation_id="getKernelParameters", responses={(200, "application/json"): PARAMETERS})
    def get(self, request: Request, app: str) -> Response:
        """Show the kernel parameters of the newest release; what is not shown has the host's default."""
        return Response(kernel_parameters(app_of(request, app)).texts)

    @extend_schema(
        operation_id="updateKernelParameters",
        request={"application/json": CHANGES},
        responses={(200, "application/json"): PARAMETERS},
    )
    def patch(self, request: Request, app: str) -> Response:
        """Set and unset (null) sysctls and ulimits of all processes, which makes a release. Answers all of them."""
        found = app_of(request, app)
        set_kernel(actor(request), found, **read_changes(request.data))
        return Response(kernel_parameters(found).texts)
