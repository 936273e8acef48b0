"""A rendezvous: a user's terminal, and the process that was started for it.

In: a TLS connection whose first line is a ticket.  Out: raw bytes both ways, to and from the agent of its host.

The protocol is Heroku's: the client throws away the first record (`rendezvous\\r\\n`), then connects its terminal.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field

from paas.gateway import framed, tickets
from paas.gateway.pipe_input import QUIET, PipeInput, is_interrupt
from paas.gateway.requests import parse_secret
from runtime.attach import (
    AttachError,
    Attachment,
    Ended,
    InputEnd,
    SendSignal,
    attach,
    attach_path,
    exec_path,
    forward_path,
)
from runtime.model import encode
from runtime.tls import Credentials, client_context

log = logging.getLogger(__name__)
GREETING = b"rendezvous\r\n"
IDLE_SECONDS = 3600.0
LINGER = 0.5  # seconds; a client whose stdin is still open fails when its socket closes too early
RETRY_SECONDS = 0.1  # the host may hear of the process a little after the client did
NOT_KNOWN = 404
WITH_STATUS = "status=1"
FRAMED = "framed=1"
STATUS = "\uffff paas-exit-status: {code}\r\n"


@dataclass
class Desk:
    """What every rendezvous needs: the key of tickets, those used, what agents know the platform by."""

    key: str
    credentials: Credentials
    used: tickets.Used = field(default_factory=tickets.Used)


async def serve(desk: Desk, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry one session to its end."""
    secret, wishes = parse_secret(line)
    words, in_frames = b"", FRAMED in wishes
    try:
        ticket = tickets.read(desk.key, secret, time.time())
        if not ticket.port:
            desk.used.take(ticket)
        session = await _open(desk, ticket)
    except (tickets.TicketError, AttachError) as error:
        await _write(writer, GREETING)
        words = (
            framed.frame(framed.LAST, encode(Ended(message=str(error)))) if in_frames else _sentence(error)
        )
    else:
        await _write(writer, GREETING)
        try:
            if ticket.framed:
                await framed.carry(session, reader, writer)
            else:
                words = await _carry(ticket, session, reader, writer, wishes)
        finally:
            await session.close()
    await _write(writer, words)
    await _linger(reader)


async def _open(desk: Desk, ticket: tickets.Ticket) -> Attachment:
    if ticket.port:
        path = forward_path(ticket.container, ticket.port)
    elif ticket.exec:
        path = exec_path(ticket.container, ticket.exec)
    else:
        path = attach_path(ticket.container, first=True, rows=ticket.rows, columns=ticket.columns)
    try:
        tls = client_context(desk.credentials, ticket.identity)
    except OSError as error:
        raise AttachError("The platform has no certificate to show to the host; start it again.") from error
    while True:
        try:
            return await attach(ticket.agent, "", path, tls)
        except AttachError as error:
            if (
                ticket.exec
                or ticket.port
                or error.status not in (NOT_KNOWN, 0)
                or time.time() > ticket.expires
            ):
                raise
        await asyncio.sleep(RETRY_SECONDS)


async def _carry(
    ticket: tickets.Ticket,
    session: Attachment,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    wishes: frozenset[str],
) -> bytes:
    """Return the last words for the client, b'' when it has left."""
    clock = _Clock()
    typed = _type(session, reader, clock) if ticket.tty else _pipe(session, reader, clock)
    left = asyncio.ensure_future(typed)
    printed = asyncio.ensure_future(_print(session, writer, clock))
    idle = asyncio.ensure_future(clock.run_out())
    tasks = (left, printed, idle)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if printed.done():
            return _last_words(printed.result(), wishes)
        return (
            b"" if left.done() else _sentence("Nothing was typed or printed for an hour; the session ends.")
        )
    except AttachError as error:
        return _sentence(error)
    except OSError:
        return b""
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _type(session: Attachment, reader: asyncio.StreamReader, clock: _Clock) -> None:
    """Pass on what is typed at a terminal, until the client leaves."""
    with suppress(OSError):
        while chunk := await reader.read(65536):
            clock.tick()
            await session.write(chunk)


async def _pipe(session: Attachment, reader: asyncio.StreamReader, clock: _Clock) -> None:
    """Pass on what is piped in, until the client leaves."""
    state = PipeInput()
    with suppress(OSError):
        while True:
            try:
                chunk = await asyncio.wait_for(reader.read(65536), QUIET if state.held else None)
            except TimeoutError:
                state.settle()
                await session.control(InputEnd())
                continue
            if not chunk:
                return
            clock.tick()
            if is_interrupt(chunk):
                await session.control(SendSignal(number=signal.SIGINT))
            elif data := state.feed(chunk):
                await session.write(data)


async def _print(session: Attachment, writer: asyncio.StreamWriter, clock: _Clock) -> Ended:
    async for _, data in session.output():
        clock.tick()
        writer.write(data)
        await writer.drain()
    assert session.ended is not None
    return session.ended


def _last_words(ended: Ended, wishes: frozenset[str]) -> bytes:
    words = _sentence(ended.message) if ended.code is None and ended.message else b""
    if WITH_STATUS in wishes and ended.code is not None:
        words += STATUS.format(code=ended.code).encode()
    return words


def _sentence(text: object) -> bytes:
    return f" !    {text}\r\n".encode()


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    with suppress(OSError):
        writer.write(data)
        await writer.drain()


async def _linger(reader: asyncio.StreamReader) -> None:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(LINGER):
            while await reader.read(65536):
                pass


class _Clock:
    """When something was last typed or printed."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def tick(self) -> None:
        self._last = time.monotonic()

    async def run_out(self) -> None:
        """Return after an idle hour."""
        while (left := self._last + IDLE_SECONDS - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)
