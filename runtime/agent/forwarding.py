"""One forwarded connection: a client's websocket, and a socket inside a container.

In: both.  Out: bytes both ways; the end of either direction is passed on by itself.
"""

from __future__ import annotations

import asyncio
import socket as sockets
from contextlib import suppress

from aiohttp import WSMsgType, web

from runtime.attach import STDIN, STDOUT, Control, Ended, InputEnd
from runtime.model import decode, encode

PIECE = 64 * 1024


async def carry_connection(socket: web.WebSocketResponse, inner: sockets.socket) -> None:
    """Return when both directions have ended, or one is broken."""
    inner.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=inner)
    there = asyncio.ensure_future(_take(socket, writer))
    back = asyncio.ensure_future(_give(socket, reader))
    try:
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        if back.done() and back.result():
            await asyncio.wait({there})  # the client may still send
        elif there.done() and there.result():
            await asyncio.wait({back})  # the container may still answer
    finally:
        for task in (there, back):
            task.cancel()
        await asyncio.gather(there, back, return_exceptions=True)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        await _close(socket)


async def _take(socket: web.WebSocketResponse, writer: asyncio.StreamWriter) -> bool:
    """To the container. True when the client has ended its direction, False when it has gone."""
    with suppress(OSError):
        async for message in socket:
            if message.type is WSMsgType.BINARY and message.data[:1] == bytes([STDIN]):
                writer.write(message.data[1:])
                await writer.drain()
            elif message.type is WSMsgType.TEXT and _is_end(message.data):
                writer.write_eof()
                return True
    return False


async def _give(socket: web.WebSocketResponse, reader: asyncio.StreamReader) -> bool:
    """From the container. True when it has ended its direction, False when either is gone."""
    with suppress(OSError, RuntimeError):  # aiohttp raises the latter on a closing socket
        while piece := await reader.read(PIECE):
            await socket.send_bytes(bytes([STDOUT]) + piece)
        await socket.send_str(encode(InputEnd()).decode())
        return True
    return False


def _is_end(text: str) -> bool:
    try:
        return isinstance(decode(text.encode(), Control), InputEnd)  # type: ignore[arg-type]
    except ValueError:
        return False


async def _close(socket: web.WebSocketResponse) -> None:
    with suppress(OSError, RuntimeError, TimeoutError):
        await socket.send_str(encode(Ended(code=0)).decode())
        await asyncio.wait_for(socket.close(), 5)
