"""Changing where an app may go.

In: rules as people write them.  Out: new rules at every host within a moment, without a release or a restart.

They belong to the app, not to its releases: whoever closed a way out does not expect a rollback to open it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import transaction

from paas.controller.models import App, Host, User
from paas.controller.selectors.egress import STAGES, egress_rules
from paas.controller.services import deployments, events
from paas.controller.services.locking import lock_app
from paas.errors import InvalidParams
from runtime.model import MAX_EGRESS_RULES, parse_egress_rule, show_egress_rule

Changes = Mapping[str, Sequence[str] | None]


def set_egress(user: User, app: App, changes: Changes) -> bool:
    """Let stages (`app`, `build`) reach what their rules allow: () nothing, None everything. All changes or none.

    False: it is so already. Raises InvalidParams naming the rule that is wrong.
    """
    wanted = {stage: None if rules is None else read_rules(rules) for stage, rules in changes.items()}
    with transaction.atomic():
        app = lock_app(app.id)
        new = {stage: rules for stage, rules in wanted.items() if rules != egress_rules(app, stage)}
        for stage, rules in new.items():
            setattr(app, STAGES[stage], None if rules is None else list(rules))
            policy, shown = policy_of(rules), list(rules or ())
            events.record(user, "app.egress", app.id, app, stage=stage, policy=policy, rules=shown)
        if new:
            app.save(update_fields=[*(STAGES[stage] for stage in new), "updated_at"])
            deployments.touch_hosts(Host.objects.values_list("id", flat=True))
    return bool(new)


def read_rules(texts: Sequence[str]) -> tuple[str, ...]:
    """Return rules in their one spelling, each once, in the given order."""
    try:
        rules = tuple(dict.fromkeys(show_egress_rule(parse_egress_rule(text)) for text in texts))
    except ValueError as error:
        raise InvalidParams(str(error)) from error
    if len(rules) > MAX_EGRESS_RULES:
        raise InvalidParams(
            f"{len(rules)} egress rules are more than the {MAX_EGRESS_RULES} that an app can have; "
            "put neighbouring networks into one."
        )
    return rules


def policy_of(rules: Sequence[str] | None) -> str:
    """Return the policy in a word: `allow` everything, `deny` everything, or a `list` of what is allowed."""
    return "allow" if rules is None else "list" if rules else "deny"
