"""Scheduled commands of an app.

In: an app, an entry by its id.  Out: what its app.json schedules, with last and next times; one started by hand, paused
or resumed.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from paas.cli.call import Call, command
from paas.cli.output import ago, print_table, remark, say

ENTRY = click.argument("entry", metavar="ID")


@command(app=True, help="List the scheduled commands of an app, from its app.json.")
def cron(call: Call) -> None:
    rows = call.api.get(f"{call.path}/cron")
    call.show(rows, lambda: _print(call, rows))


def _print(call: Call, rows: list[dict[str, Any]]) -> None:
    if not rows:
        remark(f"{call.app} schedules nothing: its app.json has no `cron`.")
        return
    print_table(
        [_row(row) for row in rows], ("ID", "SCHEDULE (UTC)", "COMMAND", "WHILE ONE RUNS", "NEXT", "LAST")
    )


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    due = "paused" if row["paused"] else row["next_at"]
    return (row["id"], row["schedule"], row["command"], row["concurrency_policy"], due, ago(row["last_at"]))


@command(ENTRY, app=True, help="Start a scheduled command now; its times stay as they are.")
def run(call: Call, entry: str) -> None:
    dyno = call.api.post(f"{_path(call, entry)}/actions/run")
    call.show(
        dyno, lambda: say(f"Started {dyno['name']} of {call.app}. See: paas logs --dyno {dyno['name']}")
    )


@command(ENTRY, app=True, help="Let a scheduled command start by hand only.")
def pause(call: Call, entry: str) -> None:
    row = call.api.patch(_path(call, entry), {"paused": True})
    call.show(row, lambda: say(f"Paused {row['command']} of {call.app}."))


@command(ENTRY, app=True, help="Let a scheduled command start by itself again.")
def resume(call: Call, entry: str) -> None:
    row = call.api.patch(_path(call, entry), {"paused": False})
    call.show(row, lambda: say(f"Resumed {row['command']} of {call.app}: next at {row['next_at']}."))


def _path(call: Call, entry: str) -> str:
    return f"{call.path}/cron/{quote(entry, safe='')}"
