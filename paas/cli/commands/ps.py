"""What runs: list, scale, restart, stop, and run something once.

In: process types and dynos.  Out: the formation and the dynos of an app.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

import click

from paas.cli.call import Call, command
from paas.cli.commands.releases import NEWEST
from paas.cli.failures import Failure, Usage
from paas.cli.output import ago, print_table, remark, say

TYPE, SIZE = r"(?P<type>[A-Za-z0-9_-]+?)", r"(?P<size>[A-Za-z][\w-]*)"
COUNT_CHANGE = re.compile(rf"{TYPE}(?P<how>=|\+|-)(?P<count>\d+)(?::{SIZE})?")
SIZE_CHANGE = re.compile(rf"{TYPE}={SIZE}")


@command(app=True, help="List what runs.")
def ps(call: Call) -> None:
    dynos = call.api.list(f"{call.path}/dynos")
    call.show(dynos, lambda: _print_dynos(call.app, dynos))
    if not call.json:
        _say_what_failed(call)


def _say_what_failed(call: Call) -> None:
    """The newest release, if it did not go live: nothing of it is among what runs."""
    for release in call.api.list(f"{call.path}/releases", NEWEST.format(1)):
        if release["status"] == "failed":
            remark(f"v{release['version']} failed {ago(release['created_at'])}: {release['message']}")


def _print_dynos(app: str, dynos: list[dict[str, Any]]) -> None:
    if not dynos:
        remark(f"Nothing of {app} runs. Deploy it with `git push`, or scale it: paas ps:scale web=1")
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for dyno in dynos:
        groups.setdefault((dyno["type"], dyno["size"], dyno["command"]), []).append(dyno)
    for (type_, size, text), members in groups.items():
        say(f"=== {type_} ({size}): {text} ({len(members)})")
        for dyno in members:
            why = dyno.get("health_message") or dyno.get("exit_message")
            version, when = f"v{dyno['release']['version']}", dyno["updated_at"]
            line = f"{dyno['name']}: {dyno['state']} {version} {when} ({ago(when)})"
            say(f"{line}  {why}" if why else line)
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


ENV = click.option("-e", "--env", "pairs", multiple=True, metavar="KEY=VALUE", help="Set for this run only.")
EXIT_CODE = click.option("-x", "--exit-code", is_flag=True, help="Exit with the command's status.")
NO_TTY = click.option("--no-tty", is_flag=True, help="No terminal for it, even if this is one.")
WORDS = click.argument("words", nargs=-1, type=click.UNPROCESSED, required=True, metavar="COMMAND...")


@command(
    WORDS,
    click.option("-d", "--detach", is_flag=True, help="Do not wait for it; its output goes to the log."),
    click.option("-s", "--size", metavar="SIZE", help="Size of the dyno."),
    ENV,
    EXIT_CODE,
    NO_TTY,
    app=True,
    rest=True,
    help="Run a command once in the app's environment, at this terminal. It ends when you leave.",
)
def run(
    call: Call,
    words: tuple[str, ...],
    detach: bool,
    size: str | None,
    pairs: tuple[str, ...],
    exit_code: bool,
    no_tty: bool,
) -> None:
    from paas.cli.commands.config import split_pair

    body: dict[str, Any] = {
        "command": _line(words),
        "attach": not detach,
        "env": dict(map(split_pair, pairs)),
    }
    body |= {"size": size} if size else {}
    if not detach:
        return _attach(call, f"{call.path}/dynos", body, exit_code=exit_code, no_tty=no_tty)
    dyno = call.api.post(f"{call.path}/dynos", body)

    def people() -> None:
        say(f"Running {dyno['command']} on {call.app}: {dyno['name']}")
        say(f"Its output: paas logs -a {call.app} --tail --dyno {dyno['name']}")

    return call.show(dyno, people)


@command(
    click.argument("dyno", metavar="DYNO"),
    WORDS,
    ENV,
    EXIT_CODE,
    NO_TTY,
    app=True,
    rest=True,
    help="Run a command inside a running dyno, at this terminal: paas ps:exec web.1 -- bash",
)
def execute(
    call: Call, dyno: str, words: tuple[str, ...], pairs: tuple[str, ...], exit_code: bool, no_tty: bool
) -> None:
    from paas.cli.client import segment
    from paas.cli.commands.config import split_pair

    words = words[1:] if words[0] == "--" else words
    if not words:
        raise Usage("Say what to run: paas ps:exec web.1 -- COMMAND")
    body = {"command": _line(words), "env": dict(map(split_pair, pairs))}
    _attach(call, f"{call.path}/dynos/{segment(dyno)}", body, exit_code=exit_code, no_tty=no_tty)


def _line(words: tuple[str, ...]) -> str:
    """One word is a line for the shell, as it stands; several are one command, quoted again."""
    return words[0] if len(words) == 1 else shlex.join(words)


def _attach(call: Call, path: str, body: dict[str, Any], *, exit_code: bool, no_tty: bool) -> None:
    from paas.cli import rendezvous

    terminal = {} if no_tty else rendezvous.terminal_env()
    authority = call.api.text("/ca.pem")
    dyno = call.api.post(path, {**body, "env": {**terminal, **body["env"]}, "force_no_tty": no_tty})
    remark(f"Running {body['command']} on {call.app}: {dyno['name']}")
    status = rendezvous.join(dyno["attach_url"], authority, raw=bool(terminal))
    if status is None:
        raise Failure("The session has ended before the command, or nobody knows how that ended.")
    if exit_code:
        raise click.exceptions.Exit(status)
