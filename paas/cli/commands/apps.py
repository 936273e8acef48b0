"""Apps: create, list, show, rename, destroy, open, maintenance.

In: a name.  Out: what the platform answers.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from paas.cli import git
from paas.cli.call import Call, command
from paas.cli.failures import Usage
from paas.cli.output import print_fields, print_table, remark, say


@command(
    click.option("--all", "everyone", is_flag=True, help="Also those you see as an administrator."),
    help="List your apps.",
)
def apps(call: Call, everyone: bool) -> None:
    rows = call.api.list("/apps" if everyone else "/users/~/apps")
    if not rows and not call.json:
        remark("You have no apps. Make one with `paas create`.")
        return
    table = [(row["name"], row["owner"]["email"], row["web_url"]) for row in rows]
    call.show(rows, lambda: print_table(table, ("APP", "OWNER", "URL")))


@command(
    click.argument("name", required=False),
    click.option("--stack", metavar="STACK", help="The stack; the platform's default otherwise."),
    click.option(
        "-r", "--remote", default=git.REMOTE, show_default=True, help="Name of the git remote to add."
    ),
    click.option("--no-remote", is_flag=True, help="Add no git remote."),
    help="Create an app; in a git repository also its remote.",
)
def create(call: Call, name: str | None, stack: str | None, remote: str, no_remote: bool) -> None:
    body = {key: value for key, value in (("name", name), ("stack", stack)) if value}
    app = call.api.post("/apps", body)
    added = not no_remote and git.inside_repository() and _add_remote(call, remote, app["git_url"])

    def people() -> None:
        say(f"Created {app['name']}: {app['web_url']}")
        say(f"Deploy with: git push {remote} main" if added else f"Its git repository: {app['git_url']}")

    call.show(app, people)


def _add_remote(call: Call, remote: str, url: str) -> bool:
    there = git.remotes().get(remote)
    if there is not None and there != url:
        remark(
            f" !    The git remote {remote} stays {there}. To change it: git remote set-url {remote} {url}"
        )
        return False
    git.set_remote(remote, url)
    git.use_helper(url, call.url)
    return True


@command(app=True, help="Show an app.")
def info(call: Call) -> None:
    app = call.api.get(call.path)
    dynos = call.api.list(f"{call.path}/dynos")
    call.show({**app, "dynos": dynos}, lambda: _print_info(app, dynos))


def _print_info(app: dict[str, Any], dynos: list[dict[str, Any]]) -> None:
    counts: dict[str, int] = {}
    for dyno in dynos:
        counts[dyno["type"]] = counts.get(dyno["type"], 0) + 1
    say(f"=== {app['name']}")
    print_fields(
        [
            ("Web URL", app["web_url"]),
            ("Git URL", app["git_url"]),
            ("Owner", app["owner"]["email"]),
            ("Dynos", ", ".join(f"{type_}: {count}" for type_, count in sorted(counts.items())) or "none"),
            ("Stack", app["stack"]["name"]),
            ("Slug size", f"{app['slug_size'] / 1024**2:.1f} MiB"),
            ("Maintenance", "on" if app["maintenance"] else "off"),
            ("Created", app["created_at"]),
        ]
    )


@command(click.argument("name"), app=True, help="Rename an app; its git remotes follow.")
def rename(call: Call, name: str) -> None:
    old = call.api.get(call.path)
    app = call.api.patch(call.path, {"name": name})
    for remote, url in git.remotes().items():
        if url == old["git_url"]:
            git.set_remote(remote, app["git_url"])
    call.show(app, lambda: say(f"Renamed {old['name']} to {app['name']}: {app['web_url']}"))


@command(
    click.option("--confirm", metavar="NAME", help="The app's name, to destroy it without being asked."),
    app=True,
    help="Destroy an app with everything that belongs to it.",
)
def destroy(call: Call, confirm: str | None) -> None:
    name = call.app_option or confirm or call.app
    if confirm is None:
        if not sys.stdin.isatty():
            raise Usage(f"Destroying cannot be undone. Repeat it with --confirm {name}.")
        confirm = click.prompt(f"This destroys {name} and cannot be undone. Type its name to go on", err=True)
    if confirm != name:
        raise Usage(f"{confirm} is not the name of the app ({name}). Nothing was destroyed.")
    call.app_option = name
    app = call.api.delete(call.path)
    call.show(app, lambda: say(f"Destroyed {app['name']}."))


@command(app=True, help="Open an app in the browser.")
def open_app(call: Call) -> None:
    app = call.api.get(call.path)
    if not call.json:
        import webbrowser

        webbrowser.open(app["web_url"])
    call.show(app, lambda: say(app["web_url"]))


@command(app=True, help="Show whether maintenance mode is on.")
def maintenance(call: Call) -> None:
    app = call.api.get(call.path)
    call.show(app, lambda: say("on" if app["maintenance"] else "off"))


@command(app=True, help="Show visitors a maintenance page.")
def maintenance_on(call: Call) -> None:
    _maintain(call, True)


@command(app=True, help="Let visitors reach the app again.")
def maintenance_off(call: Call) -> None:
    _maintain(call, False)


def _maintain(call: Call, on: bool) -> None:
    app = call.api.patch(call.path, {"maintenance": on})
    call.show(app, lambda: say(f"Maintenance of {app['name']} is {'on' if on else 'off'}."))
