"""What every command shares: --url, --json, -a, and the client made from them.

In: a function of (Call, ...).  Out: a click command that parses those options and closes the client.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any

import click

from paas.cli import credentials, git
from paas.cli.output import print_json

if TYPE_CHECKING:
    from paas.cli.client import Api

Function = Callable[..., Any]


@dataclass
class Call:
    """One run of a command."""

    url: str
    json: bool
    app_option: str | None = None
    remote: str | None = None

    @cached_property
    def api(self) -> Api:
        from paas.cli.client import Api

        return Api(self.url, credentials.token_for(self.url))

    @cached_property
    def app(self) -> str:
        """The app that is meant: -a, PAAS_APP, or what the git remotes name."""
        if self.app_option:
            return self.app_option
        if self.remote is None and os.environ.get("PAAS_APP"):
            return os.environ["PAAS_APP"]
        return git.app_in(git.remotes(), self.remote)

    @property
    def path(self) -> str:
        from paas.cli.client import segment

        return f"/apps/{segment(self.app)}"

    def show(self, value: Any, people: Callable[[], object]) -> None:
        """Print a value of the API as JSON if asked for, else as `people` read it."""
        if self.json:
            print_json(value)
        else:
            people()


def command(
    *arguments: Function, app: bool = False, rest: bool = False, help: str
) -> Callable[[Function], click.Command]:
    """Make a command with the shared options; `arguments` are click's own decorators.

    `app`: it is about one app. `rest`: options after the first argument belong to that argument, not to the command.
    """

    def decorate(function: Function) -> click.Command:
        @wraps(function)
        def run(url: str | None, json: bool, **given: Any) -> None:
            named = {"app_option": given.pop("app"), "remote": given.pop("remote")} if app else {}
            call = Call(credentials.platform_url(url), json, **named)
            try:
                function(call, **given)
            finally:
                if "api" in call.__dict__:
                    call.api.close()

        made: Function = run
        for decorator in reversed(arguments):
            made = decorator(made)
        made = click.option("--json", is_flag=True, help="Print JSON.")(made)
        made = click.option("--url", metavar="URL", help="The platform (PAAS_URL).")(made)
        if app:
            made = click.option("-r", "--remote", metavar="REMOTE", help="A git remote that names the app.")(
                made
            )
            made = click.option("-a", "--app", metavar="APP", help="The app (PAAS_APP, or the git remote).")(
                made
            )
        settings = {"help_option_names": ["-h", "--help"], "allow_interspersed_args": not rest}
        return click.command(help=help, context_settings=settings)(made)

    return decorate
