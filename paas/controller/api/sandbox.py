"""How the processes of an app are isolated.

In: requests under /apps/APP/runtime.  Out: OCI runtime, seccomp profile, read-only root, and what hosts offer.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.resource import Resource, actor, app_of
from paas.controller.models import App
from paas.controller.selectors.planning import HOST_QUIET
from paas.controller.selectors.sandbox import offered, sandbox_of
from paas.controller.services.sandbox import set_sandbox
from paas.errors import InvalidParams

NAMES = {"type": "array", "items": {"type": "string"}}
FIELDS = {"runtime": {"type": "string"}, "seccomp": {"type": "string"}, "readonly": {"type": "boolean"}}
SANDBOX = {
    "type": "object",
    "properties": FIELDS
    | {"offered": {"type": "object", "properties": {"runtimes": NAMES, "seccomp": NAMES, "problems": NAMES}}},
    "required": [*FIELDS, "offered"],
}
CHANGES = {
    "type": "object",
    "properties": {name: one | {"nullable": True} for name, one in FIELDS.items()},
    "additionalProperties": False,
}


def read_changes(body: object) -> dict[str, Any]:
    """Return the changes; null is the host's own."""
    assert isinstance(body, dict)
    for name in body:
        if name not in FIELDS:
            raise InvalidParams(f"{name!r} is not one of {', '.join(FIELDS)}.")
    changes: dict[str, Any] = {}
    for name, value in body.items():
        usual: object = False if name == "readonly" else ""
        changes[name] = usual if value is None else value
        if not isinstance(changes[name], type(usual)):
            raise InvalidParams(
                f"{name} must be {'true or false' if name == 'readonly' else 'a name'}, or null."
            )
    return changes


def shown(app: App) -> dict[str, Any]:
    there = asdict(offered(timezone.now() - HOST_QUIET))
    return asdict(sandbox_of(app)) | {"offered": {name: list(those) for name, those in there.items()}}


class AppSandbox(Resource):
    @extend_schema(operation_id="getSandbox", responses={(200, "application/json"): SANDBOX})
    def get(self, request: Request, app: str) -> Response:
        """Show how the processes of the newest release are isolated ('': the host's own), and what can be chosen."""
        return Response(shown(app_of(request, app)))

    @extend_schema(
        operation_id="updateSandbox",
        request={"application/json": CHANGES},
        responses={(200, "application/json"): SANDBOX},
    )
    def patch(self, request: Request, app: str) -> Response:
        """Choose OCI runtime, seccomp profile and read-only root of all processes, which makes a release."""
        found = app_of(request, app)
        set_sandbox(actor(request), found, **read_changes(request.data))
        return Response(shown(found))
