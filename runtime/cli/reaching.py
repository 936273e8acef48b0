"""Ports and files of a container, reached from this machine.

In: an id, ports, paths.  Out: a local listener until Ctrl-C; files copied.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from runtime.cli.commands import Commands
from runtime.cli.connection import address_of, tls_of
from runtime.cli.sessions import joined
from runtime.config import Settings
from runtime.model import CopySpec


def register(commands: Commands) -> None:
    forward = commands.add("forward", _forward, "join local ports to ports inside a container, until Ctrl-C")
    forward.add_argument("id")
    forward.add_argument("ports", nargs="+", metavar="LOCAL:REMOTE", help="or one number for both")
    forward.add_argument("--address", default="127.0.0.1", help="to listen on (127.0.0.1)")
    copy = commands.add("cp", _copy, "copy a file or folder into a container or out of it")
    copy.add_argument("source", metavar="PATH|ID:/PATH")
    copy.add_argument("target", metavar="ID:/PATH|PATH")


def _forward(settings: Settings, arguments: argparse.Namespace) -> int:
    from runtime import attach
    from runtime.forwarding import AgentLink, Open, parse_ports, serve

    try:
        pairs = [parse_ports(text) for text in arguments.ports]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2

    def opener(remote: int) -> Open:
        async def open_link() -> AgentLink:
            path = attach.forward_path(arguments.id, remote)
            return AgentLink(
                await attach.attach(address_of(settings), settings.token, path, tls_of(settings))
            )

        return open_link

    async def run() -> int:
        for local, remote in pairs:
            await serve(arguments.address, local, opener(remote), _complain)
            print(f"{arguments.address}:{local} is port {remote} of {arguments.id}", flush=True)
        await asyncio.Event().wait()
        return 0

    return joined(run)


def _complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def split_place(text: str) -> tuple[str, str]:
    """Return the container ('' for this machine) and the path. Pure."""
    id_, colon, path = text.partition(":")
    return (id_, path) if colon and path.startswith("/") and "/" not in id_ and id_ else ("", text)


def _copy(settings: Settings, arguments: argparse.Namespace) -> int:
    source, target = split_place(arguments.source), split_place(arguments.target)
    if bool(source[0]) == bool(target[0]):
        print("One of both is in a container: cp ID:/path . or cp file ID:/path", file=sys.stderr)
        return 2
    from runtime import attach, copying
    from runtime.attach import InputEnd

    async def run() -> int:
        spec = CopySpec(path=source[1] if source[0] else target[1], into=bool(target[0]))
        if spec.into:
            copying.is_there(source[1])
        session = await attach.copy(
            address_of(settings), settings.token, source[0] or target[0], spec, tls_of(settings)
        )
        try:
            if spec.into:
                sending = asyncio.ensure_future(
                    copying.send_files(source[1], session.write, lambda: session.control(InputEnd()))
                )
                async for _, data in session.output():
                    sys.stderr.write(data.decode(errors="replace"))
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            else:
                await copying.receive_files(session.output(), target[1])
            return session.ended.code or 0 if session.ended and session.ended.code is not None else 1
        finally:
            await session.close()

    try:
        return joined(run)
    except copying.CopyError as error:
        print(error, file=sys.stderr)
        return 1
