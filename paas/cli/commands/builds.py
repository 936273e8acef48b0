"""Builds: list, output, cancel.

In: the id of a build, or none for the newest.  Out: what it said and how it ended.
"""

from __future__ import annotations

from typing import Any

import click

from paas.cli.call import Call, command
from paas.cli.failures import Failure
from paas.cli.output import ago, print_table, say


def _newest(call: Call, count: int) -> list[Any]:
    return call.api.list(f"{call.path}/builds", f"created_at ..; order=desc, max={count}")


def _build(call: Call, build_id: str | None) -> Any:
    from paas.cli.client import segment

    if build_id is not None:
        return call.api.get(f"{call.path}/builds/{segment(build_id)}")
    rows = _newest(call, 1)
    if not rows:
        raise Failure(f"{call.app} has no builds. Start one with `git push`.")
    return rows[0]


@command(
    click.option(
        "-n", "--num", type=click.IntRange(1, 1000), default=15, show_default=True, help="How many."
    ),
    app=True,
    help="List builds, the newest first.",
)
def builds(call: Call, num: int) -> None:
    rows = _newest(call, num)
    table = [
        (row["id"], row["state"], row["source_blob"]["version"][:8], row["message"], ago(row["created_at"]))
        for row in rows
    ]
    call.show(rows, lambda: print_table(table, ("BUILD", "STATE", "COMMIT", "MESSAGE", "WHEN")))


@command(
    click.argument("build", required=False), app=True, help="Show the output of a build, live while it runs."
)
def output(call: Call, build: str | None) -> None:
    found = _build(call, build)
    lines = call.api.lines(found["output_stream_url"])
    if call.json:
        call.show({"build": found, "lines": list(lines)}, say)
        return
    for line in lines:
        say(line)


@command(click.argument("build", required=False), app=True, help="Cancel a build.")
def cancel(call: Call, build: str | None) -> None:
    cancelled = call.api.delete(f"{call.path}/builds/{_build(call, build)['id']}")
    call.show(cancelled, lambda: say(f"Build {cancelled['id']}: {cancelled['state']}."))


@command(app=True, help="Give up the build cache: the next build installs everything anew.")
def purge_cache(call: Call) -> None:
    call.api.delete(f"{call.path}/build-cache")
    call.show(
        {"app": call.app},
        lambda: say(f"Purged the build cache of {call.app}; the next build starts without."),
    )
