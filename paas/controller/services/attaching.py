"""Addresses to attach to: for a one-off that waits for its user, and for a further process beside one that runs.

In: where a process is.  Out: a URL that works once, for a minute; whoever has it is at the process' terminal.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings

from paas.controller.agents import agent
from paas.controller.models import App, Host, Instance, OneOff, Release, User
from paas.controller.selectors.dynos import Dyno
from paas.controller.selectors.prebuilt import program
from paas.controller.selectors.specs import Terminal
from paas.controller.services import events
from paas.controller.services.variables import check_variable
from paas.errors import Conflict, InvalidParams, Unavailable
from paas.gateway.tickets import LIFETIME, Ticket, issue
from runtime.client import AgentRefused, AgentUnavailable
from runtime.model import CopySpec, ExecSpec
from runtime.tls import host_identity

COMMAND_MAX = 32 * 1024
SIZE_MAX = 1000  # rows, columns
PATH_MAX = 4096
FORWARD_SECONDS = 3600.0


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


def copy_files(user: User, app: App, dyno: Dyno, path: str, *, into: bool) -> str:
    """Promise a copy of files into a running dyno or out of it; return where the tar stream is carried."""
    if not path.startswith("/") or "\0" in path or len(path) > PATH_MAX:
        raise InvalidParams(f"{path!r} is no absolute path in a dyno.")
    host, _ = _place_of(app, dyno)
    try:
        copy_id = agent(host).make_copy(str(dyno.id), CopySpec(path=path, into=into))
    except AgentUnavailable as error:
        raise Unavailable(f"The host of {dyno.name} does not answer; try again in a moment.") from error
    except AgentRefused as error:
        raise Conflict(f"Files of {dyno.name} cannot be copied: {error.message}") from error
    way = "into" if into else "out of"
    events.record(user, "dyno.copy", dyno.id, app, name=dyno.name, path=path, way=way)
    return _url(_ticket(host, dyno.id, LIFETIME, exec=copy_id, framed=True))


def forward_port(user: User, app: App, dyno: Dyno, port: int) -> str:
    """Return where connections to a port inside a running dyno are carried, for an hour."""
    host, _ = _place_of(app, dyno)
    events.record(user, "dyno.forward", dyno.id, app, name=dyno.name, port=port)
    return _url(_ticket(host, dyno.id, FORWARD_SECONDS, port=port, framed=True))


def _ticket(host: Host, container: UUID, seconds: float, **more: Any) -> Ticket:
    return Ticket(
        agent=host.url,
        identity=host_identity(str(host.id)),
        container=str(container),
        expires=time.time() + seconds,
        **more,
    )


def _url(ticket: Ticket) -> str:
    secret = issue(settings.SECRETS.gateway_key, ticket)
    return f"rendezvous://{settings.PAAS.public_host}:{settings.PAAS.gateway_port}/{secret}"


def attach_url(host: Host, container: UUID, terminal: Terminal, exec_id: str = "") -> str:
    """Return the address of a gateway with a ticket for one session."""
    ticket = _ticket(
        host,
        container,
        LIFETIME,
        exec=exec_id,
        tty=terminal.tty,
        rows=terminal.rows,
        columns=terminal.columns,
    )
    return _url(ticket)


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
