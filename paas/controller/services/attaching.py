"""Addresses to attach to: for a one-off that waits for its user, and for a further process beside one that runs.

In: where a process is.  Out: a URL that works once, for a minute; whoever has it is at the process' terminal.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from uuid import UUID

from django.conf import settings

from paas.controller.agents import agent
from paas.controller.models import App, Host, Instance, OneOff, Release, User
from paas.controller.selectors.dynos import Dyno
from paas.controller.selectors.prebuilt import program
from paas.controller.selectors.specs import Terminal
from paas.controller.services import events
from paas.controller.services.config import check_variable
from paas.errors import Conflict, InvalidParams, Unavailable
from paas.gateway.tickets import LIFETIME, Ticket, issue
from runtime.client import AgentRefused, AgentUnavailable
from runtime.model import ExecSpec
from runtime.tls import host_identity

COMMAND_MAX = 32 * 1024
SIZE_MAX = 1000  # rows, columns


def terminal_of(env: Mapping[str, str], *, no_tty: bool) -> Terminal:
    """Return what the client is: at a terminal if it names its kind (TERM), of the size it says."""
    tty = bool(env.get("TERM")) and not no_tty
    return Terminal(tty=tty, rows=_number(env.get("LINES", "")), columns=_number(env.get("COLUMNS", "")))


def _number(text: str) -> int:
    return min(int(text), SIZE_MAX) if text.isascii() and text.isdigit() else 0


def check_command(command: str, env: Mapping[str, str]) -> None:
    """Raise InvalidParams for what cannot be run."""
    if not command.strip() or "\0" in command or len(command) > COMMAND_MAX:
        raise InvalidParams("Say which command to run (at most 32 KiB of text).")
    for name, value in env.items():
        check_variable(name, value)


def attach_url(host: Host, container: UUID, terminal: Terminal, exec_id: str = "") -> str:
    """Return the address of a gateway with a ticket for one session."""
    ticket = Ticket(
        agent=host.url,
        identity=host_identity(str(host.id)),
        container=str(container),
        expires=time.time() + LIFETIME,
        exec=exec_id,
        tty=terminal.tty,
        rows=terminal.rows,
        columns=terminal.columns,
    )
    secret = issue(settings.SECRETS.gateway_key, ticket)
    return f"rendezvous://{settings.PAAS.public_host}:{settings.PAAS.gateway_port}/{secret}"


def exec_in_dyno(
    user: User, app: App, dyno: Dyno, command: str, env: Mapping[str, str], *, no_tty: bool = False
) -> str:
    """Make a further process in a running dyno, in its sandbox and environment; return where to attach to it."""
    check_command(command, env)
    host, release = _place_of(app, dyno)
    terminal = terminal_of(env, no_tty=no_tty)
    spec = ExecSpec(
        argv=program(release, dyno.name.partition(".")[0], command).argv,
        env=dict(env),
        tty=terminal.tty,
        rows=terminal.rows,
        columns=terminal.columns,
    )
    try:
        exec_id = agent(host).make_exec(str(dyno.id), spec)
    except AgentUnavailable as error:
        raise Unavailable(f"The host of {dyno.name} does not answer; try again in a moment.") from error
    except AgentRefused as error:
        raise Conflict(f"{dyno.name} cannot be entered: {error.message}") from error
    events.record(user, "dyno.exec", dyno.id, app, name=dyno.name)
    return attach_url(host, dyno.id, terminal, exec_id)


def _place_of(app: App, dyno: Dyno) -> tuple[Host, Release]:
    related = ("host", "release__slug")
    row: Instance | OneOff | None = (
        Instance.objects.select_related(*related).filter(app=app, id=dyno.id).first()
    )
    row = row or OneOff.objects.select_related(*related).filter(app=app, id=dyno.id).first()
    if row is None or dyno.state not in {"up", "starting"}:
        raise Conflict(f"{dyno.name} is {dyno.state}; only a running process can be entered.")
    return row.host, row.release
