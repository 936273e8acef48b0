"""Your terminal, or your pipes, joined to a process in a container.

In: a container's id, stdin.  Out: its output, its exit status.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from runtime.cli.commands import Commands, command_words
from runtime.cli.connection import address_of, tls_of
from runtime.config import Settings
from runtime.model import ExecSpec


def register(commands: Commands) -> None:
    execute = commands.add("exec", _exec, "run a command in a running container")
    execute.add_argument("id")
    execute.add_argument("words", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command")
    attach = commands.add("attach", _attach, "join your terminal to a container; Ctrl-C is sent to it")
    attach.add_argument("id")


def _exec(settings: Settings, arguments: argparse.Namespace) -> int:
    words = command_words(arguments.words)
    if not words:
        print("Say what to run: python -m runtime exec ID -- CMD [ARGUMENT…]", file=sys.stderr)
        return 2
    from runtime import attach, terminal

    on_terminal = terminal.is_terminal()
    rows, columns = terminal.size() if on_terminal else (0, 0)
    environment = {"TERM": os.environ.get("TERM", "xterm")} if on_terminal else {}
    spec = ExecSpec(argv=tuple(words), env=environment, tty=on_terminal, rows=rows, columns=columns)

    async def join() -> int:
        address, tls = address_of(settings), tls_of(settings)
        session = await attach.execute(address, settings.token, arguments.id, spec, tls)
        try:
            return await terminal.join(session, terminal=on_terminal)
        finally:
            await session.close()

    return joined(join)


def _attach(settings: Settings, arguments: argparse.Namespace) -> int:
    from runtime import attach, terminal

    on_terminal = terminal.is_terminal()
    rows, columns = terminal.size() if on_terminal else (0, 0)
    path = attach.attach_path(arguments.id, rows=rows, columns=columns)

    async def join() -> int:
        session = await attach.attach(address_of(settings), settings.token, path, tls_of(settings))
        try:
            return await terminal.join(session, terminal=on_terminal)
        finally:
            await session.close()

    return joined(join)


def joined(join: Callable[[], Coroutine[Any, Any, int]]) -> int:
    import asyncio

    from runtime.attach import AttachError

    try:
        return asyncio.run(join())
    except AttachError as error:
        print(error, file=sys.stderr)
        return 1
