"""Where an app and its builds may go.

In: requests under /apps/APP/egress.  Out: policies with the rules that allow.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.resource import Resource, actor, app_of
from paas.controller.models import App
from paas.controller.selectors.egress import STAGES, egress_rules
from paas.controller.services.egress import policy_of, set_egress
from paas.errors import InvalidParams

POLICIES = ("allow", "deny", "list")
RULES = {"type": "array", "items": {"type": "string"}}
POLICY = {"type": "string", "enum": list(POLICIES)}
STAGE = {
    "type": "object",
    "properties": {"policy": POLICY, "rules": RULES},
    "required": ["policy", "rules"],
}
EGRESS = {"type": "object", "properties": {stage: STAGE for stage in STAGES}, "required": list(STAGES)}
CHANGE = {"type": "object", "properties": {"policy": POLICY, "rules": RULES}, "additionalProperties": False}
CHANGES = {"type": "object", "properties": {stage: CHANGE for stage in STAGES}, "additionalProperties": False}


def show(app: App) -> dict[str, Any]:
    """Both stages of an app."""
    rules = {stage: egress_rules(app, stage) for stage in STAGES}
    return {stage: {"policy": policy_of(one), "rules": list(one or ())} for stage, one in rules.items()}


def read_changes(body: object) -> dict[str, tuple[str, ...] | None]:
    """Return the rules of each stage that changes: None allows everything, () nothing."""
    if not isinstance(body, dict):
        raise InvalidParams(f"Give an object with {' or '.join(STAGES)}.")
    for stage in body:
        if stage not in STAGES:
            raise InvalidParams(f"{stage!r} has no egress rules: give {' or '.join(STAGES)}.")
    return {stage: _rules(stage, change) for stage, change in body.items()}


def _rules(stage: str, change: object) -> tuple[str, ...] | None:
    if not isinstance(change, dict) or not set(change) <= {"policy", "rules"} or not change:
        raise InvalidParams(f"{stage} must be an object with a policy, or with rules, or both.")
    rules, policy = change.get("rules", []), change.get("policy", "list")
    if policy not in POLICIES:
        raise InvalidParams(f"{policy!r} is no policy: give {', '.join(POLICIES)}.")
    if not isinstance(rules, list) or not all(isinstance(one, str) for one in rules):
        raise InvalidParams(f"The rules of {stage} must be an array of strings.")
    if rules and policy != "list":
        raise InvalidParams(f"The policy {policy} has no rules: they go with the policy list.")
    if not rules and policy == "list":
        raise InvalidParams(f"A list without rules allows {stage} nothing: say so with the policy deny.")
    return None if policy == "allow" else tuple(rules)


class AppEgress(Resource):
    @extend_schema(operation_id="getEgress", responses={(200, "application/json"): EGRESS})
    def get(self, request: Request, app: str) -> Response:
        """Show where the processes of an app, and its builds, may go besides its own instances."""
        return Response(show(app_of(request, app)))

    @extend_schema(
        operation_id="updateEgress",
        request={"application/json": CHANGES},
        responses={(200, "application/json"): EGRESS},
    )
    def patch(self, request: Request, app: str) -> Response:
        """Change one or both, for what runs too, at once. No release, no restart. Answers both."""
        found = app_of(request, app)
        set_egress(actor(request), found, read_changes(request.data))
        found.refresh_from_db()
        return Response(show(found))
