"""The accounts of the platform, for its administrators.

In: e-mail addresses.  Out: what the platform answers; a password that it made, this once.
"""

from __future__ import annotations

from typing import Any

import click

from paas.cli.call import Call, command
from paas.cli.output import ago, print_table, say

EMAIL = click.argument("email")


@command(help="List the accounts of the platform (for administrators).")
def users(call: Call) -> None:
    rows = call.api.list("/users")
    table = [
        (row["email"], _role(row), _state(row), row["apps"], ago(row["last_login"]), ago(row["created_at"]))
        for row in rows
    ]
    header = ("EMAIL", "ROLE", "STATE", "APPS", "SIGNED IN", "MADE")
    call.show(rows, lambda: print_table(table, header))


def _role(row: dict[str, Any]) -> str:
    return "admin" if row["admin"] else "member"


def _state(row: dict[str, Any]) -> str:
    if not row["active"]:
        return "disabled"
    return "invited" if row["invited"] else "active"


@command(
    EMAIL,
    click.option("--admin", is_flag=True, help="They see and change everything."),
    click.option("--name", default="", metavar="NAME", help="What they are called."),
    help="Make an account; shows its one-time password.",
)
def add(call: Call, email: str, admin: bool, name: str) -> None:
    made = call.api.post("/users", {"email": email, "admin": admin, "name": name})
    call.show(made, lambda: _say_password(call, made, f"Made an account for {made['email']}."))


@command(EMAIL, help="Replace an account's password by a one-time password.")
def reset(call: Call, email: str) -> None:
    changed = call.api.patch(_path(email), {"reset_password": True})
    call.show(
        changed, lambda: _say_password(call, changed, f"{changed['email']} is signed out of every browser.")
    )


def _say_password(call: Call, row: dict[str, Any], what: str) -> None:
    say(what)
    say(f"One-time password, shown only now: {row['password']}")
    say(f"With it they choose their own: paas login --url {call.url} --email {row['email']}")


@command(EMAIL, help="Disable an account: it is refused everywhere at once; its apps run on.")
def disable(call: Call, email: str) -> None:
    _change(call, email, {"active": False}, "{} is disabled. Their apps run on.")


@command(EMAIL, help="Enable an account again.")
def enable(call: Call, email: str) -> None:
    _change(call, email, {"active": True}, "{} is enabled.")


@command(EMAIL, help="Make somebody an administrator.")
def promote(call: Call, email: str) -> None:
    _change(call, email, {"admin": True}, "{} is an administrator.")


@command(EMAIL, help="Make an administrator an ordinary account.")
def demote(call: Call, email: str) -> None:
    _change(call, email, {"admin": False}, "{} is no administrator any more.")


@command(EMAIL, help="Delete an account that owns no apps.")
def remove(call: Call, email: str) -> None:
    gone = call.api.delete(_path(email))
    call.show(gone, lambda: say(f"Deleted the account of {gone['email']}."))


def _path(email: str) -> str:
    from paas.cli.client import segment

    return f"/users/{segment(email)}"


def _change(call: Call, email: str, change: dict[str, bool], words: str) -> None:
    changed = call.api.patch(_path(email), change)
    call.show(changed, lambda: say(words.format(changed["email"])))
