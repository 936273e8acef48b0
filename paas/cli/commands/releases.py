"""Releases: list, show, compare, roll back; and how their deployments went.

In: versions.  Out: the ledger of an app.
"""

from __future__ import annotations

from typing import Any

import click

from paas.cli.call import Call, command
from paas.cli.failures import Failure
from paas.cli.output import ago, print_fields, print_table, say

NEWEST = "version ..; order=desc, max={}"


@command(
    click.option(
        "-n", "--num", type=click.IntRange(1, 1000), default=15, show_default=True, help="How many."
    ),
    app=True,
    help="List releases, the newest first.",
)
def releases(call: Call, num: int) -> None:
    rows = call.api.list(f"{call.path}/releases", NEWEST.format(num))
    table = [
        (f"v{row['version']}", _status(row), row["description"], row["user"]["email"], ago(row["created_at"]))
        for row in rows
    ]
    call.show(rows, lambda: print_table(table, ("VERSION", "STATUS", "DESCRIPTION", "BY", "WHEN")))


def _status(row: dict[str, Any]) -> str:
    return "current" if row["current"] else str(row["status"])


def _find(call: Call, version: str) -> Any:
    from paas.cli.client import segment

    return call.api.get(f"{call.path}/releases/{segment(version)}")


@command(click.argument("version", default="current"), app=True, help="Show a release.")
def info(call: Call, version: str) -> None:
    release = _find(call, version)
    fields = [
        ("Release", f"v{release['version']}"),
        ("Status", _status(release)),
        ("Description", release["description"]),
        ("By", release["user"]["email"]),
        ("When", release["created_at"]),
        *([("Message", release["message"])] if release["message"] else []),
    ]
    call.show(release, lambda: print_fields(fields))


@command(
    click.argument("old"),
    click.argument("new", default="current"),
    app=True,
    help="Show what changes from one release to another.",
)
def diff(call: Call, old: str, new: str) -> None:
    from paas.cli.client import segment

    changes = call.api.get(f"{call.path}/releases/{segment(old)}/diff/{segment(new)}")
    call.show(changes, lambda: say("\n".join(describe(changes)) or f"{old} and {new} do not differ."))


def describe(changes: dict[str, Any]) -> list[str]:
    """Return a line per difference."""
    lines = []
    for part, change in changes.items():
        if isinstance(change, list):
            lines.append(f"{part}: {change[0] or 'none'} -> {change[1] or 'none'}")
        for name, how in (change or {}).items() if isinstance(change, dict) else ():
            words = f"{how[0] or 'none'} -> {how[1] or 'none'}" if isinstance(how, list) else how
            lines.append(f"{part} {name}: {words}")
    return lines


@command(
    click.argument("version", required=False),
    app=True,
    help="Go back to a release (the one before the current otherwise): code, config and formation.",
)
def rollback(call: Call, version: str | None) -> None:
    target = _find(call, version) if version else _previous(call)
    made = call.api.post(f"{call.path}/releases", {"release": target["id"]})
    call.show(
        made, lambda: say(f"Rolling {call.app} back to v{target['version']}: it is v{made['version']} now.")
    )


def _previous(call: Call) -> Any:
    rows = call.api.list(f"{call.path}/releases", NEWEST.format(50))
    for row in rows:
        if row["eligible_for_rollback"] and not row["current"]:
            return row
    raise Failure(f"{call.app} has no earlier release with code to go back to. `paas releases` lists them.")


@command(
    click.option(
        "-n", "--num", type=click.IntRange(1, 1000), default=15, show_default=True, help="How many."
    ),
    app=True,
    help="List deployments with the seconds of their phases, the newest first.",
)
def deployments(call: Call, num: int) -> None:
    rows = call.api.list(f"{call.path}/deployments", f"created_at ..; order=desc, max={num}")
    table = [
        (
            f"v{row['release']['version']}",
            row["status"],
            _timings(row),
            row["message"],
            ago(row["created_at"]),
        )
        for row in rows
    ]
    call.show(rows, lambda: print_table(table, ("RELEASE", "STATUS", "SECONDS", "MESSAGE", "WHEN")))


def _timings(row: dict[str, Any]) -> str:
    return ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in row["timings"].items())
