"""A rendezvous that carries bytes as they are: files, and connections to a port.

In: frames of a client, one byte of channel and four of length before the data.  Out: the same of the agent's session.

Both directions can end by themselves, which TLS in asyncio cannot tell; nothing in the data means anything, as ^D does
where a terminal is at the end.
"""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress

from runtime.attach import STDERR, AttachError, Attachment, Ended, InputEnd
from runtime.model import encode

HEAD = struct.Struct(">BI")
DATA, ERRORS, END, LAST = 1, 2, 3, 4
LARGEST = 1024 * 1024
IDLE_SECONDS = 3600.0


def frame(channel: int, data: bytes = b"") -> bytes:
    return HEAD.pack(channel, len(data)) + data


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Raises EOFError when the other side has left or talks nonsense."""
    channel, size = HEAD.unpack(await reader.readexactly(HEAD.size))
    if size > LARGEST:
        raise EOFError("a frame is too large")
    return channel, await reader.readexactly(size)


async def carry(session: Attachment, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Return when the session has ended, which the client is told, or when the client has left."""
    there = asyncio.ensure_future(_take(session, reader))
    back = asyncio.ensure_future(_give(session, writer))
    try:
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (there, back):
            task.cancel()
        await asyncio.gather(there, back, return_exceptions=True)


async def _take(session: Attachment, reader: asyncio.StreamReader) -> None:
    """Returns when the client has left; it stays until it has been told how it ended."""
    with suppress(OSError, EOFError, TimeoutError):
        while True:
            channel, data = await asyncio.wait_for(read_frame(reader), IDLE_SECONDS)
            if channel == DATA:
                await session.write(data)
            elif channel == END:
                await session.control(InputEnd())


async def _give(session: Attachment, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        try:
            async for channel, data in session.output():
                kind = ERRORS if channel == STDERR else DATA if data else END
                writer.write(frame(kind, data))
                await writer.drain()
            await say_last(writer, session.ended or Ended())
        except AttachError as error:
            await say_last(writer, Ended(message=str(error)))


async def say_last(writer: asyncio.StreamWriter, ended: Ended) -> None:
    with suppress(OSError):
        writer.write(frame(LAST, encode(ended)))
        await writer.drain()
