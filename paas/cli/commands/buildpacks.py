"""Buildpacks of an app: show, add, set, remove, clear.

In: names, URLs, folders of the repository.  Out: the list that the next push is built with.
"""

from __future__ import annotations

from typing import Any

import click

from paas.cli.call import Call, command
from paas.cli.failures import Usage
from paas.cli.output import print_table, remark, say

INDEX = click.option(
    "--index", "-i", type=click.IntRange(1), help="Position in the list, from 1 (default: the end)."
)
ONE = click.argument("buildpack")


@command(app=True, help="Show the buildpacks of an app, in order.")
def buildpacks(call: Call) -> None:
    rows = call.api.get(_path(call))
    call.show(rows, lambda: _print(call, rows))


@command(
    ONE,
    INDEX,
    app=True,
    help="Add a buildpack: heroku/python, an https URL, ./FOLDER of the repository, or cnb: before a URL or ./FOLDER.",
)
def add(call: Call, buildpack: str, index: int | None) -> None:
    names = _names(call)
    names.insert(len(names) if index is None else index - 1, buildpack)
    _put(call, names)


@command(
    ONE, INDEX, app=True, help="Put a buildpack in place of the list's one at --index (default: the first)."
)
def set_buildpack(call: Call, buildpack: str, index: int | None) -> None:
    names, at = _names(call), (index or 1) - 1
    names[at : at + 1] = [buildpack]
    _put(call, names)


@command(
    click.argument("buildpack", required=False),
    INDEX,
    app=True,
    help="Remove a buildpack, or the one at --index.",
)
def remove(call: Call, buildpack: str | None, index: int | None) -> None:
    if (buildpack is None) == (index is None):
        raise Usage("Say which: paas buildpacks:remove NAME, or paas buildpacks:remove --index N")
    names = _names(call)
    at = index - 1 if index is not None else names.index(buildpack) if buildpack in names else len(names)
    if at >= len(names):
        raise Usage(f"{call.app} has no such buildpack; `paas buildpacks` lists them.")
    _put(call, names[:at] + names[at + 1 :])


@command(app=True, help="Forget the list: the next push is built with what is detected.")
def clear(call: Call) -> None:
    _put(call, [])


def _path(call: Call) -> str:
    return f"{call.path}/buildpack-installations"


def _names(call: Call) -> list[str]:
    return [row["buildpack"]["url"].removeprefix("urn:buildpack:") for row in call.api.get(_path(call))]


def _put(call: Call, names: list[str]) -> None:
    rows = call.api.put(_path(call), {"updates": [{"buildpack": name} for name in names]})

    def people() -> None:
        if names:
            _print(call, rows)
            say("The next push is built with them.")
        else:
            say(f"The buildpacks of {call.app} are cleared: the next push is built with what is detected.")

    call.show(rows, people)


def _print(call: Call, rows: list[dict[str, Any]]) -> None:
    if rows:
        print_table([(str(row["ordinal"] + 1), row["buildpack"]["name"]) for row in rows], ("", "BUILDPACK"))
    else:
        remark(f"{call.app} has no buildpacks of its own: each push is built with what is detected.")
