"""The machines that run containers, for administrators.

In: names of hosts.  Out: what the platform answers; the one command that makes another machine a host.
"""

from __future__ import annotations

import re
import time
from typing import Any

import click

from paas.cli.call import Call, command
from paas.cli.failures import Failure
from paas.cli.output import ago, print_table, say

HOST = click.argument("host")
POLL_SECONDS = 1.0
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@command(help="List the hosts (for administrators).")
def hosts(call: Call) -> None:
    rows = call.api.list("/hosts")
    table = [
        (
            row["name"],
            row["state"],
            row["instances"],
            row["cpus"],
            _gib(row),
            row["address"] or "-",
            row["version"] or "-",
            ago(row["seen_at"]),
        )
        for row in rows
    ]
    header = ("HOST", "STATE", "INSTANCES", "CPUS", "MEMORY", "ADDRESS", "VERSION", "SEEN")
    call.show(rows, lambda: print_table(table, header))


@command(HOST, help="Show a host.")
def info(call: Call, host: str) -> None:
    row = call.api.get(_path(host))
    call.show(row, lambda: _print(row))


def _print(row: dict[str, Any]) -> None:
    for title, value in {
        "Name": row["name"],
        "State": row["state"],
        "Cordoned": "yes" if row["cordoned"] else "no",
        "Instances": row["instances"],
        "CPUs": row["cpus"],
        "Memory": _gib(row),
        "Address": row["address"] or "-",
        "Containers": row["subnet"] or "-",
        "Agent": row["url"],
        "Version": row["version"] or "-",
        "Seen": ago(row["seen_at"]),
        "Joined": ago(row["created_at"]),
        "Id": row["id"],
    }.items():
        say(f"{title + ':':<12}{value}")


@command(
    click.option("--ttl", default="1h", metavar="TIME", help="How long it is good: 30m, 1h (default), 2d."),
    click.option("--name", default="", metavar="NAME", help="What the host will be called."),
    help="Make a token for one new host; prints the command to run there.",
)
def token(call: Call, ttl: str, name: str) -> None:
    made = call.api.post("/join-tokens", {"ttl": seconds(ttl), "name": name})
    call.show(made, lambda: _say_command(made, ttl))


def _say_command(made: dict[str, Any], ttl: str) -> None:
    say(f"Run this on the new machine (Debian 12 or 13), in a clone of this repository, within {ttl}:")
    say(f"  {made['command']}")
    say("It is good for one machine.")


@command(HOST, help="Place nothing new on a host; what runs there stays.")
def cordon(call: Call, host: str) -> None:
    row = call.api.patch(_path(host), {"cordoned": True})
    call.show(row, lambda: say(f"{row['name']} gets nothing new; {row['instances']} instances stay there."))


@command(HOST, help="Place things on a host again.")
def uncordon(call: Call, host: str) -> None:
    row = call.api.patch(_path(host), {"cordoned": False})
    call.show(row, lambda: say(f"{row['name']} gets instances again."))


@command(
    HOST,
    click.option("--no-wait", is_flag=True, help="Do not wait until it is empty."),
    click.option("--timeout", default=600, metavar="SECONDS", help="How long to wait (default: 600)."),
    help="Move everything off a host, without a failed request.",
)
def drain(call: Call, host: str, no_wait: bool, timeout: int) -> None:
    row = call.api.post(f"{_path(host)}/actions/drain", {})
    deadline = time.monotonic() + timeout
    while row["instances"] and not no_wait:
        if time.monotonic() > deadline:
            raise Failure(
                f"{row['name']} still has {row['instances']} instances after {timeout} s; other hosts may have no room "
                "for them (`paas hosts`). They serve on, and move when there is."
            )
        time.sleep(POLL_SECONDS)
        row = call.api.get(_path(host))
    left = f"{row['instances']} instances are leaving it" if row["instances"] else "it is empty"
    call.show(row, lambda: say(f"{row['name']} is cordoned; {left}."))


@command(
    HOST,
    click.option("--force", is_flag=True, help="Although something runs there; it is started elsewhere."),
    click.option(
        "--reason", default="", metavar="TEXT", help="Why, for the audit trail; needed with --force."
    ),
    help="Take a host off the platform; its certificate is refused at once.",
)
def remove(call: Call, host: str, force: bool, reason: str) -> None:
    row = call.api.delete(_path(host), {"force": force, "reason": reason})
    call.show(row, lambda: say(f"{row['name']} is no host of this platform any more."))


def seconds(text: str) -> int:
    """Read a time such as 30m. Raises Failure."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if match is None:
        raise Failure(f"{text!r} is no time; write for example 30m, 1h or 2d.")
    return int(match[1]) * UNITS[match[2]]


def _path(host: str) -> str:
    from urllib.parse import quote

    return f"/hosts/{quote(host, safe='')}"


def _gib(row: dict[str, int]) -> str:
    return f"{row['memory_bytes'] / 1024**3:.1f} GiB"
