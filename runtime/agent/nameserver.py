"""The name server that containers ask: names of their own app, and everything else from the host's servers.

In: queries by UDP and TCP on 169.254.1.1, where the firewall leads port 53 of each container.  Out: answers. Where
egress rules allow names, the firewall knows an answer's addresses before the container does.
The host's own resolver is untouched: the port is whichever was free, and only containers are led to it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from runtime.container.port import Asking, EngineError
from runtime.network import dns, names
from runtime.network.dns import Code, Query

log = logging.getLogger(__name__)
FORWARD_SECONDS = 2.0  # per server; a container's resolver waits 5
IDLE_SECONDS = 10.0
AT_ONCE, AT_ONCE_EACH = 512, 64  # forwarded queries and connections, of all and of one container
_IP_FREEBIND = 15  # linux/in.h: the address is there once the first container is
_PORTS = 20
Server = tuple[str, int]
Ask = Callable[[Server, Query, bytes], Coroutine[Any, Any, bytes]]


class Gate(Protocol):
    """Egress rules, as far as they speak of names. `caller` is a container's address."""

    def asks(self, caller: str, name: str) -> Asking: ...
    async def answered(self, caller: str, name: str, addresses: tuple[str, ...], ttl: int) -> None: ...


class OpenGate:
    """No rules."""

    def asks(self, caller: str, name: str) -> Asking:
        return Asking.FREE

    async def answered(self, caller: str, name: str, addresses: tuple[str, ...], ttl: int) -> None:
        """Nobody has to know."""


class Busy(Exception):
    """Too much at once; the container's resolver asks the next server."""


class NameServer:
    """`owner_at` tells whose container has an address ('': a build, which has no neighbours; None: nobody's).
    `look_up` gives an owner's addresses of a name, None when there is none. `servers` are the host's, asked in turn."""

    def __init__(
        self,
        owner_at: Callable[[str], str | None],
        look_up: Callable[[str, str], list[str] | None],
        servers: Callable[[], tuple[Server, ...]],
        gate: Gate | None = None,
    ) -> None:
        self._owner_at, self._look_up, self._servers = owner_at, look_up, servers
        self._gate = gate or OpenGate()
        self._busy: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._datagrams: asyncio.DatagramTransport | None = None
        self._streams: asyncio.Server | None = None

    async def start(self, address: str) -> int:
        """Listen on a free port of `address`, the same for UDP and TCP; return it."""
        loop = asyncio.get_running_loop()
        datagrams, streams = _bind(address)
        self._datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=datagrams)
        self._streams = await asyncio.start_server(self._serve_stream, sock=streams)
        port: int = streams.getsockname()[1]
        return port

    async def close(self) -> None:
        if self._datagrams is not None:
            self._datagrams.close()
        if self._streams is not None:
            self._streams.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def take(self, data: bytes, caller: Server) -> None:
        """Answer a datagram at once, or when the host's servers have."""
        query = dns.parse(data)
        if query is None or self._datagrams is None:
            return
        at_once = self._answer(query, caller[0], limited=True)
        if at_once is not None:
            self._datagrams.sendto(at_once, caller)
        else:
            task = asyncio.create_task(self._relay(query, data, caller))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _answer(self, query: Query, caller: str, *, limited: bool) -> bytes | None:
        """The answer to what can be told here; None: it must be forwarded."""
        owner = self._owner_at(caller)
        if owner is None:
            return dns.render(query, (), Code.REFUSED)
        if not names.is_ours(query.name):
            refused = self._gate.asks(caller, query.name) is Asking.REFUSED
            return dns.render(query, (), Code.REFUSED) if refused else None
        addresses = self._look_up(owner, query.name) if owner else None
        if addresses is None:
            return dns.render(query, (), Code.NO_SUCH_NAME)
        random.shuffle(addresses)
        return dns.render(query, addresses, limited=limited)

    async def _relay(self, query: Query, data: bytes, caller: Server) -> None:
        try:
            with self._counted(caller[0]):
                answer = await self._forward(query, data, caller[0], _ask_datagram)
        except Busy:
            answer = dns.render(query, (), Code.FAILED)
        if self._datagrams is not None and not self._datagrams.is_closing():
            self._datagrams.sendto(answer, caller)

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller: str = writer.get_extra_info("peername")[0]
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            with self._counted(caller):
                while True:
                    data = await asyncio.wait_for(_read_message(reader), IDLE_SECONDS)
                    query = dns.parse(data)
                    if query is None:
                        break
                    answer = self._answer(query, caller, limited=False)
                    answer = answer or await self._forward(query, data, caller, _ask_stream)
                    writer.write(struct.pack(">H", len(answer)) + answer)
                    await asyncio.wait_for(writer.drain(), IDLE_SECONDS)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, Busy):
            pass  # the other side has gone, or is too slow or too many
        finally:
            writer.close()

    async def _forward(self, query: Query, data: bytes, caller: str, ask: Ask) -> bytes:
        answer = await self._ask_servers(query, data, ask)
        if self._gate.asks(caller, query.name) is Asking.WATCHED:
            addresses, ttl = dns.read_addresses(answer)
            try:
                await self._gate.answered(caller, query.name, addresses, ttl)
            except EngineError as error:
                log.error("the addresses of %s cannot be let through: %s", query.name, error)
                return dns.render(query, (), Code.FAILED)
        return answer

    async def _ask_servers(self, query: Query, data: bytes, ask: Ask) -> bytes:
        for server in self._servers():
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                answer = await asyncio.wait_for(ask(server, query, data), FORWARD_SECONDS)
                if dns.answers(answer, query):
                    return answer
        return dns.render(query, (), Code.FAILED)

    @contextmanager
    def _counted(self, caller: str) -> Iterator[None]:
        if self._busy.total() >= AT_ONCE or self._busy[caller] >= AT_ONCE_EACH:
            raise Busy
        self._busy[caller] += 1
        try:
            yield
        finally:
            self._busy[caller] -= 1
            if not self._busy[caller]:
                del self._busy[caller]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.take(data, addr)


class _OneAnswer(asyncio.DatagramProtocol):
    """A socket of its own, and so a port, per query: what an answer would have to guess to be forged."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self.answer.done() and dns.answers(data, self._query):
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _ask_datagram(server: Server, query: Query, data: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(lambda: _OneAnswer(query), remote_addr=server)
    try:
        transport.sendto(data)
        return await protocol.answer
    finally:
        transport.close()


async def _ask_stream(server: Server, _: Query, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(struct.pack(">H", len(data)) + data)
        return await _read_message(reader)
    finally:
        writer.close()


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack(">H", await reader.readexactly(2))
    return await reader.readexactly(length)


def _bind(address: str) -> tuple[socket.socket, socket.socket]:
    """Bind UDP and TCP to one free port. Raises OSError when none was found."""
    for _ in range(_PORTS):
        datagrams = _socket(socket.SOCK_DGRAM, address, 0)
        try:
            return datagrams, _socket(socket.SOCK_STREAM, address, datagrams.getsockname()[1])
        except OSError as error:
            datagrams.close()
            refusal = error
    raise refusal


def _socket(kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    one = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        one.setsockopt(socket.SOL_IP, _IP_FREEBIND, 1)
        one.bind((address, port))
    except OSError:
        one.close()
        raise
    return one
