"""Where an app may go.

In: an app.  Out: rules as texts.
"""

from __future__ import annotations

from paas.controller.models import App

STAGES = {"app": "egress", "build": "build_egress"}  # an app's processes, and its builds -> field of `App`


def egress_rules(app: App, stage: str) -> tuple[str, ...] | None:
    """Return the rules of a stage: () reaches nothing, None everything."""
    rules = getattr(app, STAGES[stage])
    return None if rules is None else tuple(rules)
