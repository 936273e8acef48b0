"""Bytes to and from a running dyno, as they are: a rendezvous in frames.

In: the URL that the API gave, and the platform's authority.  Out: a link that `runtime.forwarding` can carry, or its
output by channel.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlsplit

from paas.cli.failures import Failure, Unreachable

CONNECT_SECONDS = 15.0
GREETING = b"rendezvous\r\n"
HEAD = struct.Struct(">BI")
DATA, ERRORS, END, LAST = 1, 2, 3, 4
LOST = "The connection to the platform was lost."


class Framed:
    """One session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.code: int | None = None

    async def send(self, data: bytes) -> None:
        """b'' ends this direction."""
        self._writer.write(HEAD.pack(DATA if data else END, len(data)) + data)
        await self._writer.drain()

    async def receive(self) -> bytes:
        async for _, data in self.output():
            return data
        return b""

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield (channel, bytes), b'' when the other side sends no more, until it is over. Raises Failure."""
        while True:
            try:
                channel, size = HEAD.unpack(await self._reader.readexactly(HEAD.size))
                data = await self._reader.readexactly(size)
            except (OSError, EOFError) as error:
                raise Failure(LOST) from error
            if channel == LAST:
                self._end(data)
                return
            yield (ERRORS if channel == ERRORS else DATA), data

    def _end(self, data: bytes) -> None:
        ended = json.loads(data)
        self.code = ended.get("code")
        if self.code is None:
            raise Failure(ended.get("message") or LOST)

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


async def open_framed(url: str, authority: str) -> Framed:
    parts = urlsplit(url)
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=authority)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
            writer.write(f"{parts.path[1:]}?framed=1\r\n".encode())
            await reader.readexactly(len(GREETING))
    except (OSError, EOFError, TimeoutError) as error:
        raise Unreachable(f"Cannot reach {parts.hostname}:{parts.port}: {error}.") from error
    return Framed(reader, writer)
