"""Logging in and out, one's password, and the machines of the platform.

In: e-mail address and password, or a token.  Out: a stored login.
"""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING

import click

from paas.cli import credentials
from paas.cli.call import Call, command
from paas.cli.failures import Failure, Refused, Usage
from paas.cli.output import remark, say

if TYPE_CHECKING:
    from paas.cli.client import Api

YEAR = 365 * 24 * 3600


@command(
    click.option("--email", metavar="EMAIL", help="The account; asked for otherwise."),
    click.option(
        "--password-stdin",
        is_flag=True,
        help="Read the password from stdin; after an invitation, one of your own from the next line.",
    ),
    click.option("--token", metavar="TOKEN", help="Log in with a token; - reads it from stdin."),
    click.option("--expires-in", type=click.IntRange(60), default=YEAR, show_default=True, help="Seconds."),
    help="Log in to a platform; git can push to it afterwards.",
)
def login(call: Call, email: str | None, password_stdin: bool, token: str | None, expires_in: int) -> None:
    from paas.cli.client import Api

    if token is None:
        email = str(email or click.prompt("Email", err=True))
        password = _line() if password_stdin else _ask("Password")
        token = _token(call.api, email, password, expires_in, password_stdin)
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


def _token(api: Api, email: str, password: str, expires_in: int, stdin: bool) -> str:
    """Return a new token. With a password that an administrator made, a new one is chosen first."""
    description = f"paas on {platform.node() or 'unknown'}"
    try:
        return api.login(email, password, description, expires_in)
    except Refused as refused:
        if refused.id != "password_temporary":
            raise
        new = _line() if stdin else _choose_password()
        if not new:
            raise
    api.replace_password(email, password, new)
    return api.login(email, new, description, expires_in)


def _line() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _ask(what: str, *, again: bool = False) -> str:
    return str(click.prompt(what, hide_input=True, err=True, confirmation_prompt=again))


def _choose_password() -> str:
    remark("This password was made by an administrator. Choose your own now.")
    return _ask("New password", again=True)


@command(
    click.option("--stdin", is_flag=True, help="Read the current and the new password from two lines."),
    help="Change your password; browsers have to sign in again, tokens stay good.",
)
def password(call: Call, stdin: bool) -> None:
    old = _line() if stdin else _ask("Current password")
    new = _line() if stdin else _ask("New password", again=True)
    if not old or not new:
        raise Usage("Give the current and the new password, each on a line of its own.")
    account = call.api.patch("/account", {"password": old, "new_password": new})
    call.show(account, lambda: say(f"The password of {account['email']} is changed."))


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
