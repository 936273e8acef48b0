"""Networks: list, create, join, leave, destroy.

In: names of networks and apps.  Out: apps that reach each other, or do not any more.
"""

from __future__ import annotations

from typing import Any

import click

from paas.cli.call import Call, command
from paas.cli.output import print_table, remark, say

NETWORK = click.argument("network")


@command(help="List the networks that you made or that your apps are in.")
def networks(call: Call) -> None:
    rows = call.api.list("/networks")
    table = [(row["name"], "internal" if row["internal"] else "-", _members(row)) for row in rows]

    def people() -> None:
        if table:
            print_table(table, ("NETWORK", "KIND", "MEMBERS"))
        else:
            remark("There is no network. Make one: paas networks:create NAME")

    call.show(rows, people)


@command(
    NETWORK,
    click.option("--internal", is_flag=True, help="Its members reach nothing outside."),
    help="Make a network.",
)
def create(call: Call, network: str, internal: bool) -> None:
    made = call.api.post("/networks", {"name": network, "internal": internal})
    call.show(
        made, lambda: say(f"Made {made['name']}. Let apps in: paas networks:join {made['name']} -a APP")
    )


@command(NETWORK, help="Destroy a network without members.")
def destroy(call: Call, network: str) -> None:
    gone = call.api.delete(_path(network))
    call.show(gone, lambda: say(f"Destroyed {gone['name']}."))


@command(
    NETWORK,
    click.option("--alias", "aliases", multiple=True, metavar="NAME", help="Its name there; else the app's."),
    app=True,
    help="Let an app join a network, at once.",
)
def join(call: Call, network: str, aliases: tuple[str, ...]) -> None:
    member = call.api.post(f"{_path(network)}/members", {"app": call.app, "aliases": list(aliases)})
    names = ", ".join(f"{alias}.{member['network']}.internal" for alias in member["aliases"])
    call.show(member, lambda: say(f"{member['app']} is in {member['network']}, as {names}."))


@command(NETWORK, app=True, help="Let an app leave a network, at once.")
def leave(call: Call, network: str) -> None:
    from paas.cli.client import segment

    member = call.api.delete(f"{_path(network)}/members/{segment(call.app)}")
    call.show(member, lambda: say(f"{member['app']} has left {member['network']}."))


def _path(network: str) -> str:
    from paas.cli.client import segment

    return f"/networks/{segment(network)}"


def _members(row: dict[str, Any]) -> str:
    shown = [f"{one['app']} ({', '.join(one['aliases'])})" for one in row["members"]]
    hidden = row["hidden_members"]
    return ", ".join([*shown, *([f"{hidden} more"] if hidden else [])]) or "-"
