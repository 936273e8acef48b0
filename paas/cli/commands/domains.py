"""Domains: the host names that reach an app.

In: host names.  Out: what the platform answers to.
"""

from __future__ import annotations

import click

from paas.cli.call import Call, command
from paas.cli.output import print_table, say


@command(app=True, help="List the host names that reach an app.")
def domains(call: Call) -> None:
    rows = call.api.list(f"{call.path}/domains")
    table = [(row["hostname"], row["kind"], row["cname"] or "-") for row in rows]
    call.show(rows, lambda: print_table(table, ("HOST NAME", "KIND", "POINT IT AT")))


@command(click.argument("hostname"), app=True, help="Let a host name reach an app.")
def add(call: Call, hostname: str) -> None:
    domain = call.api.post(f"{call.path}/domains", {"hostname": hostname})
    call.show(domain, lambda: say(f"Added {domain['hostname']}. Point it at {domain['cname']} in your DNS."))


@command(click.argument("hostname"), app=True, help="Remove a host name from an app.")
def remove(call: Call, hostname: str) -> None:
    from paas.cli.client import segment

    domain = call.api.delete(f"{call.path}/domains/{segment(hostname)}")
    call.show(domain, lambda: say(f"Removed {domain['hostname']}."))
