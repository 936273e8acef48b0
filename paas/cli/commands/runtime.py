"""How an app is isolated: show, set, unset its OCI runtime, seccomp profile and read-only root.

In: NAME=VALUE pairs.  Out: a release with the new values.
"""

from __future__ import annotations

from typing import Any

import click

from paas.cli.call import Call, command
from paas.cli.failures import Usage
from paas.cli.output import print_fields, remark, say

NAMES = ("runtime", "seccomp", "readonly")
SWITCH = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


@command(app=True, help="Show how the processes of an app are isolated, and what hosts offer.")
def runtime(call: Call) -> None:
    values = call.api.get(f"{call.path}/runtime")

    def people() -> None:
        offered = values["offered"]
        print_fields(
            [
                ("runtime", values["runtime"] or "the host's own"),
                ("seccomp", values["seccomp"] or "the platform's profile"),
                ("readonly", "on" if values["readonly"] else "off"),
                ("runtimes of the hosts", ", ".join(offered["runtimes"]) or "none"),
                ("profiles of the hosts", ", ".join(offered["seccomp"]) or "none"),
            ]
        )
        for problem in offered["problems"]:
            remark(problem)

    call.show(values, people)


@command(
    click.argument("pairs", nargs=-1, metavar="NAME=VALUE..."),
    app=True,
    help="Choose runtime=NAME, seccomp=NAME, readonly=on|off of all processes and release the app with them.",
)
def set_runtime(call: Call, pairs: tuple[str, ...]) -> None:
    if not pairs:
        raise Usage("Say what to set: paas runtime:set runtime=runsc seccomp=NAME readonly=on")
    _change(call, dict(map(split_pair, pairs)), "Set")


@command(
    click.argument("names", nargs=-1, required=True, metavar="NAME..."),
    app=True,
    help="Go back to the hosts' own and release the app with it.",
)
def unset(call: Call, names: tuple[str, ...]) -> None:
    for name in names:
        check_name(name)
    _change(call, dict.fromkeys(names), "Unset")


def _change(call: Call, changes: dict[str, Any], verb: str) -> None:
    values = call.api.patch(f"{call.path}/runtime", changes)
    newest = call.api.list(f"{call.path}/releases", "version ..; order=desc, max=1")
    version = f", v{newest[0]['version']}" if newest else ""
    call.show(values, lambda: say(f"{verb} {', '.join(changes)} of {call.app}{version}."))


def split_pair(pair: str) -> tuple[str, Any]:
    """Return name and value of NAME=VALUE. Raises Usage."""
    name, equals, value = (part.strip() for part in pair.partition("="))
    check_name(name)
    if not equals or not value:
        raise Usage(f"{pair!r} is not NAME=VALUE. Go back to the hosts' own with: paas runtime:unset {name}")
    if name != "readonly":
        return name, value
    if value not in SWITCH:
        raise Usage(f"readonly is on or off, not {value!r}.")
    return name, SWITCH[value]


def check_name(name: str) -> None:
    if name not in NAMES:
        raise Usage(f"{name!r} is not one of {', '.join(NAMES)}.")
