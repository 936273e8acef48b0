"""Who works on an app: list, add, remove, and give it away.

In: e-mail addresses.  Out: what the platform answers.
"""

from __future__ import annotations

import click

from paas.cli.call import Call, command
from paas.cli.output import ago, print_table, say


@command(app=True, help="List who may work on an app.")
def access(call: Call) -> None:
    rows = call.api.list(f"{call.path}/collaborators")
    table = [(row["user"]["email"], row["role"], ago(row["created_at"])) for row in rows]
    call.show(rows, lambda: print_table(table, ("EMAIL", "ROLE", "SINCE")))


@command(click.argument("email"), app=True, help="Let an account work on an app (for its owner).")
def add(call: Call, email: str) -> None:
    added = call.api.post(f"{call.path}/collaborators", {"user": email})

    def people() -> None:
        say(f"{added['user']['email']} can work on {added['app']['name']} now.")

    call.show(added, people)


@command(click.argument("email"), app=True, help="End somebody's work on an app, or your own.")
def remove(call: Call, email: str) -> None:
    from paas.cli.client import segment

    gone = call.api.delete(f"{call.path}/collaborators/{segment(email)}")

    def people() -> None:
        say(f"{gone['user']['email']} can no longer work on {gone['app']['name']}.")

    call.show(gone, people)


@command(click.argument("email"), app=True, help="Give an app to another account (for its owner).")
def transfer(call: Call, email: str) -> None:
    made = call.api.post("/account/app-transfers", {"app": call.app, "recipient": email})

    def people() -> None:
        say(
            f"{made['app']['name']} belongs to {made['recipient']['email']} now; "
            f"{made['owner']['email']} stays as a collaborator."
        )

    call.show(made, people)
