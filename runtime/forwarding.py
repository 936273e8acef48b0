"""A local port, joined to a port inside a container: every connection by a session of its own.

In: how to open a session.  Out: a listener; bytes both ways, each direction ended by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from runtime.attach import AttachError, Attachment, InputEnd

PIECE = 64 * 1024
Open = Callable[[], Awaitable["Link"]]


class Link(Protocol):
    """A session that carries one connection."""

    async def send(self, data: bytes) -> None:
        """b'' ends this direction."""

    async def receive(self) -> bytes:
        """b'' when the other side sends no more. Raises AttachError or OSError when it is broken."""

    async def close(self) -> None: ...


class AgentLink:
    """Straight to an agent."""

    def __init__(self, session: Attachment) -> None:
        self._session = session
        self._output = session.output()

    async def send(self, data: bytes) -> None:
        if data:
            await self._session.write(data)
        else:
            await self._session.control(InputEnd())

    async def receive(self) -> bytes:
        async for _, data in self._output:
            return data
        return b""

    async def close(self) -> None:
        await self._session.close()


async def serve(host: str, port: int, open_link: Open, failed: Callable[[str], None]) -> asyncio.Server:
    """Listen on a local port. `failed` is told of connections that could not be made or broke."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            link = await open_link()
        except (AttachError, OSError) as error:
            failed(str(error))
            writer.close()
            return
        try:
            await relay(reader, writer, link)
        except (AttachError, OSError) as error:
            failed(str(error))
        finally:
            await link.close()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    return await asyncio.start_server(accept, host, port)


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link) -> None:
    """Return when both directions have ended; raises when one breaks."""
    async with asyncio.TaskGroup() as group:
        there = group.create_task(_send(reader, link))
        back = group.create_task(_receive(writer, link))
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_EXCEPTION)


async def _send(reader: asyncio.StreamReader, link: Link) -> None:
    while piece := await reader.read(PIECE):
        await link.send(piece)
    await link.send(b"")


async def _receive(writer: asyncio.StreamWriter, link: Link) -> None:
    while piece := await link.receive():
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def parse_ports(text: str) -> tuple[int, int]:
    """Read `LOCAL:REMOTE` or `PORT`. Raises ValueError with a sentence. Pure."""
    local, colon, remote = text.partition(":")
    ports = [local, remote if colon else local]
    if not all(port.isascii() and port.isdigit() and 0 < int(port) < 65536 for port in ports):
        raise ValueError(f"{text!r} is no pair of ports; write for example 8080:5000, or 5000 for both.")
    return int(ports[0]), int(ports[1])
