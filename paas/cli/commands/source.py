"""Where an app's code comes from besides `git push`: a repository elsewhere, and the folder that is built.

In: a URL, a branch, a folder.  Out: what is connected, the output of a build.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from paas.cli.call import Call, command
from paas.cli.commands.builds import follow_build
from paas.cli.failures import Usage
from paas.cli.output import print_fields, remark, say


def _path(call: Call) -> str:
    return f"{call.path}/source"


@command(app=True, help="Show the repository that an app is connected to, and the folder that is built.")
def source(call: Call) -> None:
    found = call.api.get(_path(call))
    call.show(found, lambda: _print(found))


def _print(found: dict[str, Any]) -> None:
    if found["url"] is None:
        remark("Not connected: code comes by `git push` or `paas builds:create`. paas source:connect URL")
    print_fields(
        [
            *([("Repository", found["url"]), ("Branch", found["branch"])] if found["url"] else []),
            ("Folder", found["path"] or "all of it"),
            *([("Token", "kept")] if found["token"] else []),
            *([("Deploy key", found["deploy_key"])] if found["deploy_key"] else []),
            *([("Hook", found["hook_url"])] if found["hook_url"] else []),
            *([("On push", "deploys" if found["automatic"] else "nothing")] if found["url"] else []),
        ]
    )


@command(
    click.argument("repository"),
    click.option(
        "--branch",
        "-b",
        metavar="BRANCH",
        help="The branch that is built (default: as before; main at first).",
    ),
    click.option("--path", metavar="FOLDER", help="The folder of the repository that is the app."),
    click.option("--token-stdin", is_flag=True, help="Read a token for a private repository from stdin."),
    click.option("--token-user", metavar="USER", help="The user that goes with the token, where one must."),
    click.option("--no-auto", is_flag=True, help="Hooks start no build; only source:deploy does."),
    app=True,
    help="Connect an app to a git repository: https://HOST/OWNER/REPO.git or ssh://git@HOST/OWNER/REPO.git.",
)
def connect(
    call: Call,
    repository: str,
    branch: str | None,
    path: str | None,
    token_stdin: bool,
    token_user: str | None,
    no_auto: bool,
) -> None:
    given = {"branch": branch, "path": path, "token_user": token_user}
    body: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if token_stdin:
        body["token"] = sys.stdin.readline().strip()
        if not body["token"]:
            raise Usage("There is no token on stdin.")
    answer = call.api.patch(_path(call), {"url": repository, "automatic": not no_auto, **body})
    call.show(answer, lambda: _connected(call, answer))


def _connected(call: Call, answer: dict[str, Any]) -> None:
    say(f"{call.app} is connected to {answer['url']}, branch {answer['branch']}.")
    if answer["deploy_key"]:
        say("Add this deploy key to the repository (reading is enough):")
        say(f"  {answer['deploy_key']}")
    _print_hook(answer)
    say("Deploy what is there now with: paas source:deploy")


def _print_hook(answer: dict[str, Any]) -> None:
    say("For a build at each push add a webhook to the repository (content type application/json):")
    say(f"  URL:    {answer['hook_url']}")
    say(f"  Secret: {answer['secret'] or '(as before; a new one: paas source:hook --new-secret)'}")


@command(app=True, help="Disconnect the repository: hooks are refused, token and key are forgotten.")
def disconnect(call: Call) -> None:
    call.api.delete(_path(call))
    call.show({"app": call.app}, lambda: say(f"{call.app} is not connected to a repository any more."))


@command(
    click.option("--ref", metavar="REF", default="", help="A branch, tag or commit (default: the branch)."),
    click.option("--no-wait", is_flag=True, help="Do not wait for the build."),
    app=True,
    help="Build and release what is in the repository.",
)
def deploy(call: Call, ref: str, no_wait: bool) -> None:
    build = call.api.post(f"{_path(call)}/actions/deploy", {"ref": ref})
    follow_build(call, build, wait=not no_wait)


@command(
    click.argument("folder", required=False),
    click.option("--clear", is_flag=True, help="Build the whole repository again."),
    app=True,
    help="Show or choose the folder of the repository that is the app, as in a monorepo.",
)
def folder(call: Call, folder: str | None, clear: bool) -> None:
    if folder and clear:
        raise Usage("Give a folder or --clear, not both.")
    if not folder and not clear:
        found = call.api.get(_path(call))
        call.show(found, lambda: say(found["path"] or "The whole repository is built."))
        return
    found = call.api.patch(_path(call), {"path": folder or ""})
    where = f"the folder {found['path']}" if found["path"] else "the whole repository"
    call.show(found, lambda: say(f"The next build of {call.app} takes {where}."))


@command(
    click.option("--new-secret", is_flag=True, help="Make a new secret; the old one is refused from now on."),
    app=True,
    help="Show the URL of the app's webhook, or make a new secret for it.",
)
def hook(call: Call, new_secret: bool) -> None:
    found = call.api.post(f"{_path(call)}/actions/new-secret") if new_secret else call.api.get(_path(call))
    if found["hook_url"] is None:
        raise Usage(f"{call.app} is not connected to a repository: paas source:connect URL")
    call.show(found, lambda: _print_hook(found))
