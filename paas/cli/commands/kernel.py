"""Kernel parameters: show, set, unset. A name with dots is a sysctl, one without is a ulimit.

In: NAME=VALUE pairs.  Out: a release with the new values.
"""

from __future__ import annotations

import click

from paas.cli.call import Call, command
from paas.cli.failures import Usage
from paas.cli.output import print_fields, remark, say


@command(app=True, help="Show the kernel parameters of an app: sysctls and ulimits.")
def kernel(call: Call) -> None:
    values = call.api.get(f"{call.path}/kernel")

    def people() -> None:
        fields = [*values["sysctls"].items(), *values["ulimits"].items()]
        if fields:
            print_fields(fields)
        else:
            remark(
                f"{call.app} has the defaults of its hosts. "
                "Set one with `paas kernel:set net.core.somaxconn=4096` or `paas kernel:set nofile=65536`."
            )

    call.show(values, people)


@command(
    click.argument("pairs", nargs=-1, metavar="NAME=VALUE..."),
    app=True,
    help="Set sysctls and ulimits (N or SOFT:HARD) of all processes and release the app with them.",
)
def set_parameters(call: Call, pairs: tuple[str, ...]) -> None:
    if not pairs:
        raise Usage("Say what to set: paas kernel:set net.core.somaxconn=4096 nofile=65536")
    _change(call, dict(map(split_pair, pairs)), "Set")


@command(
    click.argument("names", nargs=-1, required=True, metavar="NAME..."),
    app=True,
    help="Go back to the hosts' defaults and release the app with them.",
)
def unset(call: Call, names: tuple[str, ...]) -> None:
    _change(call, dict.fromkeys(names), "Unset")


def _change(call: Call, changes: dict[str, str | None], verb: str) -> None:
    values = call.api.patch(f"{call.path}/kernel", sort_changes(changes))
    newest = call.api.list(f"{call.path}/releases", "version ..; order=desc, max=1")
    version = f", v{newest[0]['version']}" if newest else ""
    call.show(values, lambda: say(f"{verb} {', '.join(changes)} of {call.app}{version}."))


def sort_changes(changes: dict[str, str | None]) -> dict[str, dict[str, str | None]]:
    """Return the body of the request: sysctls have dots in their names."""
    parts: dict[str, dict[str, str | None]] = {}
    for name, value in changes.items():
        parts.setdefault("sysctls" if "." in name else "ulimits", {})[name] = value
    return parts


def split_pair(pair: str) -> tuple[str, str]:
    """Return name and value of NAME=VALUE. Raises Usage."""
    name, equals, value = pair.partition("=")
    if not name or not equals:
        raise Usage(
            f"{pair!r} is not NAME=VALUE. Quote values with spaces: "
            "paas kernel:set 'net.ipv4.ip_local_port_range=2000 60999'"
        )
    return name.strip(), value.strip()
