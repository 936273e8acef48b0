"""Where apps may go: the rules of an app, and those of all for the hosts.

In: an app, or nothing.  Out: rules as texts, or the values that agents take.
"""

from __future__ import annotations

from paas.controller.models import App
from runtime.model import Egress, parse_egress_rule

STAGES = {"app": "egress", "build": "build_egress"}  # an app's processes, and its builds -> field of `App`


def egress_rules(app: App, stage: str) -> tuple[str, ...] | None:
    """Return the rules of a stage: () reaches nothing, None everything."""
    rules = getattr(app, STAGES[stage])
    return None if rules is None else tuple(rules)


def wanted_egress(stage: str) -> dict[str, Egress]:
    """Return by app where those may go that may not go everywhere. Every host gets all: a run may start anywhere."""
    field = STAGES[stage]
    confined = App.objects.filter(**{f"{field}__isnull": False}).order_by("id").values_list("id", field)
    return {str(id_): Egress(rules=tuple(map(parse_egress_rule, rules))) for id_, rules in confined}
