"""What runs: list, scale, restart, stop, and run something once.

In: process types and dynos.  Out: the formation and the dynos of an app.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

import click

from paas.cli.call import Call, command
from paas.cli.failures import Failure, Usage
from paas.cli.output import ago, print_table, remark, say

TYPE, SIZE = r"(?P<type>[A-Za-z0-9_-]+?)", r"(?P<size>[A-Za-z][\w-]*)"
COUNT_CHANGE = re.compile(rf"{TYPE}(?P<how>=|\+|-)(?P<count>\d+)(?::{SIZE})?")
SIZE_CHANGE = re.compile(rf"{TYPE}={SIZE}")


@command(app=True, help="List what runs.")
def ps(call: Call) -> None:
    dynos = call.api.list(f"{call.path}/dynos")
    call.show(dynos, lambda: _print_dynos(call.app, dynos))


def _print_dynos(app: str, dynos: list[dict[str, Any]]) -> None:
    if not dynos:
        remark(f"Nothing of {app} runs. Deploy it with `git push`, or scale it: paas ps:scale web=1")
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for dyno in dynos:
        groups.setdefault((dyno["type"], dyno["size"], dyno["command"]), []).append(dyno)
    for (type_, size, text), members in groups.items():
        say(f"=== {type_} ({size}): {text} ({len(members)})")
        for dyno in members:
            why = f"  {dyno['exit_message']}" if dyno.get("exit_message") else ""
            version = f"v{dyno['release']['version']}"
            say(
                f"{dyno['name']}: {dyno['state']} {version} {dyno['updated_at']} ({ago(dyno['updated_at'])}){why}"
            )
        say()


@command(
    click.argument("changes", nargs=-1, metavar="TYPE=COUNT[:SIZE]..."),
    app=True,
    help="Scale process types (web=2 worker+1 web=2:standard-2x); without arguments show the formation.",
)
def scale(call: Call, changes: tuple[str, ...]) -> None:
    path = f"{call.path}/formation"
    if changes:
        rows = call.api.patch(path, {"updates": [read_change(change) for change in changes]})
    else:
        rows = call.api.list(path)
    table = [(row["type"], row["quantity"], row["size"], row["command"]) for row in rows]
    call.show(rows, lambda: print_table(table, ("TYPE", "COUNT", "SIZE", "COMMAND")))


def read_change(text: str) -> dict[str, str]:
    """Return the API's form of TYPE=COUNT, TYPE+N, TYPE-N, TYPE=COUNT:SIZE or TYPE=SIZE. Raises Usage."""
    if match := COUNT_CHANGE.fullmatch(text):
        change = {"type": match["type"], "quantity": match["how"].strip("=") + match["count"]}
    elif match := SIZE_CHANGE.fullmatch(text):
        change = {"type": match["type"]}
    else:
        raise Usage(f"{text!r} is no change of scale. Use for example web=2, worker+1, web=2:standard-2x.")
    return {**change, "size": match["size"]} if match["size"] else change


@command(
    click.argument("which", required=False, metavar="[DYNO|TYPE]"),
    app=True,
    help="Restart the app, a process type or one dyno; no request is refused meanwhile.",
)
def restart(call: Call, which: str | None) -> None:
    call.api.delete(_target(call, which))
    call.show({}, lambda: say(f"Restarting {which or 'every dyno'} of {call.app}."))


@command(
    click.argument("which", metavar="DYNO|TYPE"), app=True, help="Stop a dyno or a process type's dynos."
)
def stop(call: Call, which: str) -> None:
    answer = call.api.post(f"{_target(call, which)}/actions/stop")
    call.show(answer, lambda: say(f"Stopping {which} of {call.app}."))


def _target(call: Call, which: str | None) -> str:
    from paas.cli.client import segment

    if which is None:
        return f"{call.path}/dynos"
    kind = "dynos" if "." in which or len(which) == 36 else "formations"
    return f"{call.path}/{kind}/{segment(which)}"


@command(
    click.argument("words", nargs=-1, type=click.UNPROCESSED, required=True, metavar="COMMAND..."),
    click.option("-d", "--detach", is_flag=True, help="Do not wait for it; its output goes to the log."),
    click.option("-s", "--size", metavar="SIZE", help="Size of the dyno."),
    click.option("-e", "--env", "pairs", multiple=True, metavar="KEY=VALUE", help="Set for this run only."),
    app=True,
    rest=True,
    help="Run a command once in the app's environment.",
)
def run(call: Call, words: tuple[str, ...], detach: bool, size: str | None, pairs: tuple[str, ...]) -> None:
    from paas.cli.commands.config import split_pair

    if not detach:
        raise Failure(
            "Attached runs are not available yet. Run it detached: paas run --detach COMMAND, "
            "then read its output: paas logs --tail --dyno NAME"
        )
    # One word is a line for the shell, as it stands; several are one command, quoted again.
    line = words[0] if len(words) == 1 else shlex.join(words)
    body: dict[str, Any] = {"command": line, "attach": False, "env": dict(map(split_pair, pairs))}
    dyno = call.api.post(f"{call.path}/dynos", {**body, **({"size": size} if size else {})})

    def people() -> None:
        say(f"Running {dyno['command']} on {call.app}: {dyno['name']}")
        say(f"Its output: paas logs -a {call.app} --tail --dyno {dyno['name']}")

    call.show(dyno, people)
