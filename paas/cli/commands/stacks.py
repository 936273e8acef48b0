"""Stacks: list, import, update; and apps put on their newest layers.

In: names, and where images are.  Out: tables, the output of imports, releases.
"""

from __future__ import annotations

from typing import Any

import click

from paas.cli.call import Call, command
from paas.cli.client import segment
from paas.cli.commands.images import AUTH_OPTION, follow, located
from paas.cli.failures import Failure, Refused, Usage
from paas.cli.output import print_table, say
from paas.cli.registry_auth import read_auth_file


@command(help="List stacks, and the apps that are behind them.")
def stacks(call: Call) -> None:
    rows = call.api.list("/stacks")
    call.show(rows, lambda: _print_stacks(rows))


def _print_stacks(rows: list[dict[str, Any]]) -> None:
    table = [
        (
            f"{row['name']}{' (default)' if row['default'] else ''}",
            row["abi"].get("os", ""),
            row["python_version"] or "-",
            row["node_version"] or "-",
            (row["digest"] or "the host")[:19],
            row["image"] or "made here",
        )
        for row in rows
    ]
    print_table(table, ("STACK", "SYSTEM", "PYTHON", "NODE", "IMAGE", "FROM"))
    for row in rows:
        for one in row["behind"]:
            how = f"needs a build: {one['reason']}" if one["reason"] else f"paas rebase -a {one['app']}"
            say(f"{one['app']} (v{one['version']}) is behind {row['name']}: {how}")


@command(
    click.argument("name"),
    click.argument("image"),
    click.option("--build", metavar="IMAGE", default="", help="The image that builds run in."),
    AUTH_OPTION,
    help="Import a stack (for administrators): docker://REGISTRY/NAME:TAG, oci-archive:FILE or docker-archive:FILE.",
)
def import_stack(call: Call, name: str, image: str, build: str, auth_file: str | None) -> None:
    body: dict[str, Any] = {"name": name, "credentials": read_auth_file(auth_file)}
    for key, text in (("image", image), ("build_image", build)):
        if text:
            body[key], url = located(call, text, "/sources")
            body |= {f"{key}_blob_url": url} if url else {}
    _follow(call, call.api.post("/stacks", body))


@command(
    click.argument("name"),
    AUTH_OPTION,
    help="Make a stack anew (for administrators): newest packages, or what its images' names mean now.",
)
def update(call: Call, name: str, auth_file: str | None) -> None:
    _follow(
        call,
        call.api.post(f"/stacks/{segment(name)}/actions/update", {"credentials": read_auth_file(auth_file)}),
    )


def _follow(call: Call, task: dict[str, Any]) -> None:
    if call.json:
        call.show(task, lambda: None)
        return
    ended = follow(call, task["output_stream_url"], f"/stack-tasks/{task['id']}", ("pending", "running"))
    if ended["status"] != "succeeded":
        raise Failure(f"{task['stack']} stays as it was: {ended['message'] or ended['status']}")


@command(
    click.option("--all", "every", is_flag=True, help="Every app that is behind its stack."),
    app=True,
    help="Put an app's code on the newest layers of its stack, without a build.",
)
def rebase(call: Call, every: bool) -> None:
    if not every:
        made = call.api.post(f"{call.path}/actions/rebase")
        call.show(made, lambda: say(_words(call.app, made)))
        return
    if call.app_option:
        raise Usage("Give an app or --all, not both.")
    names = [one["app"] for row in call.api.list("/stacks") for one in row["behind"]]
    failures = 0
    for name in names:
        try:
            say(_words(name, call.api.post(f"/apps/{segment(name)}/actions/rebase")))
        except Refused as refused:
            failures += 1
            say(f" !    {refused.message}")
    say(f"{len(names) - failures} of {len(names)} apps rebased." if names else "No app is behind its stack.")
    if failures:
        raise Failure(f"{failures} need a build: push them again.")


def _words(app: str, release: dict[str, Any]) -> str:
    if release["kind"] != "rebase" or release["status"] != "pending":
        return f"{app} is on the newest layers of its stack already."
    return (
        f"{app}: v{release['version']} is on its way ({release['description']}); `paas deployments` shows it."
    )
