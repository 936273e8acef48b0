"""Git: remotes of apps, and credentials for pushing.

In: an app; what git asks a credential helper.  Out: a remote; a user and a token.
"""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

import click

from paas.cli import git
from paas.cli.call import Call, command
from paas.cli.failures import Usage
from paas.cli.output import say


@command(
    click.option("-a", "--app", "name", required=True, metavar="APP", help="The app."),
    click.option("-r", "--remote", default=git.REMOTE, show_default=True, help="Name of the remote."),
    help="Add or change the git remote of an app.",
)
def git_remote(call: Call, name: str, remote: str) -> None:
    if not git.inside_repository():
        raise Usage("This is not a git repository. Run `git init` first, or go to the folder of your app.")
    call.app_option = name
    app = call.api.get(call.path)
    git.set_remote(remote, app["git_url"])
    git.use_helper(app["git_url"], call.url)
    call.show(app, lambda: say(f"The git remote {remote} is {app['git_url']}."))


@command(
    click.argument("operation"),
    help="Answer git's question for credentials (git calls this by itself).",
)
def git_credentials(call: Call, operation: str) -> None:
    asked = dict(line.rstrip("\n").split("=", 1) for line in sys.stdin if "=" in line)
    if operation != "get" or not call.api.token:
        return
    host = urlsplit(call.api.get("/account")["git_url"])
    if asked.get("host") == host.netloc and asked.get("protocol") == host.scheme:
        say(f"username=paas\npassword={call.api.token}")
