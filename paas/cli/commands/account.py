"""Logging in and out, and the machines of the platform.

In: e-mail address and password, or a token.  Out: a stored login.
"""

from __future__ import annotations

import platform
import sys

import click

from paas.cli import credentials
from paas.cli.call import Call, command
from paas.cli.failures import Failure, Usage
from paas.cli.output import ago, print_table, remark, say

YEAR = 365 * 24 * 3600


@command(
    click.option("--email", metavar="EMAIL", help="The account; asked for otherwise."),
    click.option("--password-stdin", is_flag=True, help="Read the password from stdin."),
    click.option("--token", metavar="TOKEN", help="Log in with a token; - reads it from stdin."),
    click.option("--expires-in", type=click.IntRange(60), default=YEAR, show_default=True, help="Seconds."),
    help="Log in to a platform; git can push to it afterwards.",
)
def login(call: Call, email: str | None, password_stdin: bool, token: str | None, expires_in: int) -> None:
    from paas.cli.client import Api

    if token is None:
        email = email or click.prompt("Email", err=True)
        password = sys.stdin.readline().rstrip("\r\n") if password_stdin else _ask_password()
        description = f"paas on {platform.node() or 'unknown'}"
        token = call.api.login(str(email), password, description, expires_in)
    elif token == "-":  # noqa: S105
        token = sys.stdin.readline().strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise Usage("That is not a token. Make one with `paas login`, or on the dashboard.")
    api = Api(call.url, token)
    try:
        account = api.get("/account")
    finally:
        api.close()
    credentials.remember(call.url, token)
    credentials.remember_for_git(account["git_url"], token)
    call.show(account, lambda: say(f"Logged in to {call.url} as {account['email']}."))


def _ask_password() -> str:
    return str(click.prompt("Password", hide_input=True, err=True))


@command(help="Log out: revoke the token and forget it.")
def logout(call: Call) -> None:
    token = call.api.token
    git_url = None
    try:
        git_url = call.api.get("/account")["git_url"]
        call.api.delete("/oauth/authorizations/~")
    except Failure as failure:
        remark(f" !    The token is forgotten here, but was not revoked: {failure.message}")
    credentials.forget(call.url)
    if token and git_url:
        credentials.forget_for_git(git_url, token)
    call.show({}, lambda: say(f"Logged out of {call.url}."))


@command(help="Show who you are logged in as.")
def whoami(call: Call) -> None:
    account = call.api.get("/account")
    call.show(account, lambda: say(account["email"]))


@command(help="List the machines that run containers (for administrators).")
def hosts(call: Call) -> None:
    rows = call.api.list("/hosts")
    table = [
        (
            row["name"],
            "up" if row["up"] else "down",
            row["instances"],
            row["cpus"],
            _gib(row),
            ago(row["seen_at"]),
        )
        for row in rows
    ]
    call.show(rows, lambda: print_table(table, ("HOST", "STATE", "INSTANCES", "CPUS", "MEMORY", "SEEN")))


def _gib(row: dict[str, int]) -> str:
    return f"{row['memory_bytes'] / 1024**3:.1f} GiB"
