"""The gateway's port: TLS outside, and inside whatever the first line asks for.

In: connections.  Out: requests passed on to web and git, and rendezvous.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from contextlib import suppress

from paas.gateway import rendezvous
from paas.gateway.config import Address, Settings
from paas.gateway.requests import parse_request_line, rewrite_head

log = logging.getLogger(__name__)
FIRST_LINE_SECONDS = 30.0
IDLE_SECONDS = 3600.0
CONNECT_SECONDS = 5.0
HEAD_MAX = 64 * 1024
CHUNK = 64 * 1024


class TooLong(Exception):
    """The head of a request is longer than `HEAD_MAX`."""


class Gateway:
    """`serve` until cancelled."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._desk = rendezvous.Desk(settings.ticket_key, settings.credentials)
        self._connections: set[asyncio.Task[None]] = set()
        self.address: Address = settings.listen

    async def start(self) -> asyncio.Server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._settings.certificate, self._settings.private_key)
        context.set_alpn_protocols(["http/1.1"])
        host, port = self._settings.listen
        server = await asyncio.start_server(
            self._accept, host, port, ssl=context, limit=HEAD_MAX, ssl_handshake_timeout=15, backlog=256
        )
        self.address = server.sockets[0].getsockname()[:2]
        return server

    async def close(self) -> None:
        """End every connection."""
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError, TimeoutError, asyncio.CancelledError):
            pass  # the client has left, or the gateway leaves
        except Exception:
            log.exception("a connection failed")
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(FIRST_LINE_SECONDS):
            try:
                line = await reader.readuntil(b"\n")
            except asyncio.LimitOverrunError:
                return None
        request = parse_request_line(line)
        if request is None:
            return await rendezvous.serve(self._desk, line, reader, writer)
        try:
            async with asyncio.timeout(FIRST_LINE_SECONDS):
                head = await self._read_head(line, reader)
        except TooLong:
            return await _answer(writer, 431, "bad_request", f"The head is longer than {HEAD_MAX} bytes.")
        peer = writer.get_extra_info("peername")
        behind = self._settings.git if request.for_git else self._settings.web
        return await _pass_on(behind, rewrite_head(head, str(peer[0]) if peer else ""), reader, writer)

    async def _read_head(self, first: bytes, reader: asyncio.StreamReader) -> list[bytes]:
        lines, size = [first], len(first)
        while True:
            try:
                line = await reader.readuntil(b"\n")
            except asyncio.LimitOverrunError as error:
                raise TooLong from error
            size += len(line)
            if size > HEAD_MAX:
                raise TooLong
            if line in (b"\r\n", b"\n"):
                return lines
            lines.append(line)


async def _pass_on(
    behind: Address, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Join a client and a server until either has ended."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            far_reader, far_writer = await asyncio.open_connection(*behind)
    except (OSError, TimeoutError):
        words = "This part of the platform does not answer; try again in a moment."
        return await _answer(writer, 502, "bad_gateway", words)
    far_writer.write(head)
    there = asyncio.ensure_future(_copy(reader, far_writer))
    back = asyncio.ensure_future(_copy(far_reader, writer))
    try:
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (there, back):
            task.cancel()
        await asyncio.gather(there, back, return_exceptions=True)
        far_writer.close()
        with suppress(OSError):
            await far_writer.wait_closed()
    return None


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError, TimeoutError):
        while chunk := await asyncio.wait_for(source.read(CHUNK), IDLE_SECONDS):
            target.write(chunk)
            await target.drain()


async def _answer(writer: asyncio.StreamWriter, status: int, id_: str, message: str) -> None:
    body = json.dumps({"id": id_, "message": message}).encode()
    head = f"HTTP/1.1 {status} {id_}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    with suppress(OSError):
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
