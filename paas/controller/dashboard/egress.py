"""Where an app's processes and its builds may go: a form for each.

In: a policy, and rules with one to a line.  Out: the forms as they are now; a change is in force at once.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import reverse

from paas.controller.dashboard.doors import Request, changed, field, of_app
from paas.controller.models import App
from paas.controller.selectors.egress import STAGES, egress_rules
from paas.controller.services.egress import policy_of, set_egress
from paas.errors import InvalidParams

FORMS = "dashboard/partials/egress.html"
TITLES = {"app": "Processes of the app", "build": "Builds"}
POLICIES = {"allow": "everywhere", "list": "only where the rules allow", "deny": "nowhere"}


def context(app: App) -> dict[str, Any]:
    rules = {stage: egress_rules(app, stage) for stage in STAGES}
    rows = [(stage, TITLES[stage], policy_of(one), "\n".join(one or ())) for stage, one in rules.items()]
    return {"app": app, "stages": rows, "policies": POLICIES}


@of_app("POST")
def save(request: Request, app: App) -> HttpResponse:
    stage, policy = field(request, "stage"), field(request, "policy")
    if stage not in STAGES or policy not in POLICIES:
        raise InvalidParams("Choose where it may go.")
    different = set_egress(request.user, app, {stage: _rules(policy, field(request, "rules"))})
    app.refresh_from_db()
    notice = "The new rules are in force at once; nothing restarts." if different else "Nothing has changed."
    return changed(
        request, reverse("dashboard:resources", args=[app.name]), FORMS, lambda: context(app), notice
    )


def _rules(policy: str, text: str) -> tuple[str, ...] | None:
    rules = tuple(text.split())
    if policy == "list" and not rules:
        raise InvalidParams("Give at least one rule, such as *.example.com:443, or choose nowhere.")
    return None if policy == "allow" else rules if policy == "list" else ()
