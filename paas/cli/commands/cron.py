"""Scheduled commands of an app.

In: an app.  Out: what its app.json schedules, with last and next times.
"""

from __future__ import annotations

from typing import Any

from paas.cli.call import Call, command
from paas.cli.output import ago, print_table, remark


@command(app=True, help="List the scheduled commands of an app, from its app.json.")
def cron(call: Call) -> None:
    rows = call.api.get(f"{call.path}/cron")
    call.show(rows, lambda: _print(call, rows))


def _print(call: Call, rows: list[dict[str, Any]]) -> None:
    if not rows:
        remark(f"{call.app} schedules nothing: its app.json has no `cron`.")
        return
    table = [
        (row["schedule"], row["command"], row["concurrency_policy"], row["next_at"], ago(row["last_at"]))
        for row in rows
    ]
    print_table(table, ("SCHEDULE (UTC)", "COMMAND", "WHILE ONE RUNS", "NEXT", "LAST"))
