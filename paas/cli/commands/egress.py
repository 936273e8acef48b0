"""Where an app may go: show, allow, deny, clear.

In: rules such as 203.0.113.0/24:443 or *.example.com.  Out: new rules, in force for what runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from paas.cli.call import Call, command
from paas.cli.failures import Usage
from paas.cli.output import remark, say

BUILD = click.option("--build", is_flag=True, help="For the app's builds instead of its processes.")
POLICIES = {"allow": "everywhere", "deny": "nowhere but its own instances", "list": "to these only:"}


@command(app=True, help="Show where an app and its builds may go.")
def egress(call: Call) -> None:
    found = call.api.get(f"{call.path}/egress")

    def people() -> None:
        for stage, subject in (("app", call.app), ("build", f"A build of {call.app}")):
            say(f"{subject} may go {POLICIES[found[stage]['policy']]}")
            for rule in found[stage]["rules"]:
                say(f"  {rule}")
        if found["app"]["policy"] == "allow":
            remark(
                "Name what it needs, and nothing else is reached: `paas egress:allow '*.example.com:443'`."
            )

    call.show(found, people)


@command(
    click.argument("rules", nargs=-1, required=True, metavar="RULE..."),
    BUILD,
    app=True,
    help="Let it go to NETWORK or NAME[:PORTS][/PROTOCOL] too. With the first rule everything else is closed.",
)
def allow(call: Call, rules: tuple[str, ...], build: bool) -> None:
    _change(call, build, "list", [*_rules(call, build), *rules])


@command(
    click.argument("rules", nargs=-1, metavar="[RULE...]"),
    BUILD,
    app=True,
    help="Take rules away again; without any: let it go nowhere.",
)
def deny(call: Call, rules: tuple[str, ...], build: bool) -> None:
    known = _rules(call, build)
    unknown = [rule for rule in rules if rule not in known]
    if unknown:
        raise Usage(f"{call.app} has no egress rule {', '.join(unknown)}; `paas egress` shows what it has.")
    left = [rule for rule in known if rules and rule not in rules]
    _change(call, build, "list" if left else "deny", left)


@command(BUILD, app=True, help="Let it go everywhere again.")
def clear(call: Call, build: bool) -> None:
    _change(call, build, "allow", [])


def _rules(call: Call, build: bool) -> list[str]:
    rules: list[str] = call.api.get(f"{call.path}/egress")[_stage(build)]["rules"]
    return rules


def _stage(build: bool) -> str:
    return "build" if build else "app"


def _change(call: Call, build: bool, policy: str, rules: Sequence[str]) -> None:
    body: dict[str, Any] = {_stage(build): {"policy": policy, "rules": list(rules)}}
    found = call.api.patch(f"{call.path}/egress", body)
    now = found[_stage(build)]
    subject = f"A build of {call.app}" if build else call.app
    call.show(found, lambda: say(" ".join((f"{subject} may go {POLICIES[now['policy']]}", *now["rules"]))))
