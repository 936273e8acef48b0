"""The agent's name server over real sockets: own names at once, the rest from a server behind it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

from runtime.agent import nameserver
from runtime.agent.nameserver import Gate, NameServer
from runtime.container.port import Asking, EngineError

pytestmark = pytest.mark.integration
OWN = {"web.app.internal": ["10.0.0.1"], "many.app.internal": [f"10.0.1.{n}" for n in range(200)]}


def ask(name: str, id_: int = 9) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    return struct.pack(">HHHHHH", id_, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">HH", 1, 1)


class Upstream(asyncio.DatagramProtocol):
    """A server that answers every query with one marked answer, after as many others as it is told to ignore."""

    def __init__(self, ignore: int = 0) -> None:
        self.ignore, self.asked = ignore, 0
        self.answer: Callable[[bytes], bytes] = lambda data: data[:2] + b"\x81\x80" + data[4:] + b"udp"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        if self.asked > self.ignore:
            self.transport.sendto(b"\xff\xff" + data[2:], addr)  # forged: another id
            self.transport.sendto(self.answer(data), addr)


async def query(port: int, data: bytes, seconds: float = 8) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setblocking(False)
        one.connect(("127.0.0.1", port))
        await loop.sock_sendall(one, data)
        return await asyncio.wait_for(loop.sock_recv(one, 4096), seconds)


async def query_stream(port: int, *queries: bytes) -> list[bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        answers = []
        for data in queries:
            writer.write(struct.pack(">H", len(data)) + data)
            (length,) = struct.unpack(">H", await asyncio.wait_for(reader.readexactly(2), 8))
            answers.append(await reader.readexactly(length))
        return answers
    finally:
        writer.close()
        await writer.wait_closed()


def served(
    test: Callable[[int], Awaitable[None]],
    servers: list[tuple[str, int]],
    owner: str | None = "app",
    gate: Gate | None = None,
) -> None:
    """Run `test` with the port of a name server."""

    async def run() -> None:
        server = NameServer(
            lambda _: owner,
            lambda _, name: list(OWN[name]) if name in OWN else None,
            lambda: tuple(servers),
            gate,
        )
        try:
            await test(await server.start("127.0.0.1"))
        finally:
            await server.close()

    asyncio.run(run())


async def upstream(ignore: int = 0) -> tuple[Upstream, int]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: Upstream(ignore), local_addr=("127.0.0.1", 0)
    )
    return protocol, transport.get_extra_info("sockname")[1]


def test_own_names_by_datagram_and_stream() -> None:
    async def test(port: int) -> None:
        answer = await query(port, ask("web.app.internal"))
        assert answer.endswith(bytes((0, 4, 10, 0, 0, 1)))
        assert (await query(port, ask("web.other.internal")))[3] & 15 == 3
        assert (await query(port, ask("many.app.internal")))[2] & 2
        whole, again = await query_stream(port, ask("many.app.internal"), ask("web.app.internal"))
        assert struct.unpack_from(">H", whole, 6)[0] == 200
        assert struct.unpack_from(">H", again, 6)[0] == 1

    served(test, [])


def test_the_rest_is_forwarded_as_it_is() -> None:
    servers: list[tuple[str, int]] = []

    async def test(port: int) -> None:
        behind, its_port = await upstream()
        servers.append(("127.0.0.1", its_port))
        try:
            assert (await query(port, ask("example.org"))).endswith(b"udp")
            found = await asyncio.gather(*(query(port, ask("example.org", n)) for n in range(50)))
            assert [struct.unpack_from(">H", one)[0] for one in found] == list(range(50))
        finally:
            behind.transport.close()

    served(test, servers)


def test_streams_are_forwarded_by_stream() -> None:
    servers: list[tuple[str, int]] = []

    async def behind(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack(">H", await reader.readexactly(2))
        data = await reader.readexactly(length)
        answer = data[:2] + b"\x81\x80" + data[4:] + b"tcp"
        writer.write(struct.pack(">H", len(answer)) + answer)
        await writer.drain()
        writer.close()

    async def test(port: int) -> None:
        async with await asyncio.start_server(behind, "127.0.0.1", 0) as server:
            servers.append(server.sockets[0].getsockname())
            (answer,) = await query_stream(port, ask("example.org"))
            assert answer.endswith(b"tcp")

    served(test, servers)


def test_a_silent_server_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nameserver, "FORWARD_SECONDS", 0.2)
    servers: list[tuple[str, int]] = []

    async def test(port: int) -> None:
        silent, first = await upstream(ignore=1000)
        answering, second = await upstream()
        servers.extend((("127.0.0.1", first), ("127.0.0.1", second)))
        try:
            assert (await query(port, ask("example.org"))).endswith(b"udp")
            assert silent.asked == 1
            servers.pop()
            assert (await query(port, ask("example.org")))[
                3
            ] & 15 == 2  # nobody answers: the next server's turn
        finally:
            silent.transport.close()
            answering.transport.close()

    served(test, servers)


def test_strangers_are_refused_and_a_flood_of_one_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(port: int) -> None:
        assert (await query(port, ask("example.org")))[3] & 15 == 5
        assert (await query(port, ask("web.app.internal")))[3] & 15 == 5

    served(test, [], owner=None)
    monkeypatch.setattr(nameserver, "AT_ONCE_EACH", 2)
    monkeypatch.setattr(nameserver, "FORWARD_SECONDS", 0.5)
    servers: list[tuple[str, int]] = []

    async def flood(port: int) -> None:
        silent, its_port = await upstream(ignore=1000)
        servers.append(("127.0.0.1", its_port))
        try:
            found = await asyncio.gather(*(query(port, ask("example.org", n)) for n in range(6)))
            assert all(one[3] & 15 == 2 for one in found)
            assert silent.asked == 2
            assert len(await query(port, ask("web.app.internal"))) > 40  # own names need nobody else
        finally:
            silent.transport.close()

    served(flood, servers)


def test_nonsense_is_not_answered() -> None:
    async def test(port: int) -> None:
        with pytest.raises(TimeoutError):
            await query(port, b"nonsense", 0.2)
        assert (await query(port, ask("web.app.internal"))).endswith(bytes((10, 0, 0, 1)))

    served(test, [])


class Rules:
    """Rules that allow example.org, and remember what they were told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[str, ...], int]] = []
        self.broken = False

    def asks(self, caller: str, name: str) -> Asking:
        return Asking.WATCHED if name == "example.org" else Asking.REFUSED

    async def answered(self, caller: str, name: str, addresses: tuple[str, ...], ttl: int) -> None:
        if self.broken:
            raise EngineError("The firewall is closed.")
        self.told.append((name, addresses, ttl))


def test_egress_rules_are_told_an_answer_before_it_is_given() -> None:
    servers: list[tuple[str, int]] = []
    rules = Rules()

    async def test(port: int) -> None:
        behind, its_port = await upstream()
        behind.answer = dns_answer
        servers.append(("127.0.0.1", its_port))
        try:
            assert (await query(port, ask("example.org"))).endswith(bytes((192, 0, 2, 7)))
            assert rules.told == [("example.org", ("192.0.2.7",), 40)]
            asked = behind.asked
            assert (await query(port, ask("example.net")))[3] & 15 == 5
            assert (await query(port, ask("web.app.internal")))[3] & 15 == 0
            assert behind.asked == asked, "what is refused is told to nobody"
            rules.broken = True
            assert (await query(port, ask("example.org")))[3] & 15 == 2
        finally:
            behind.transport.close()

    served(test, servers, gate=rules)


def test_a_build_is_served_but_has_no_neighbours() -> None:
    servers: list[tuple[str, int]] = []

    async def test(port: int) -> None:
        behind, its_port = await upstream()
        servers.append(("127.0.0.1", its_port))
        try:
            assert (await query(port, ask("example.org"))).endswith(b"udp")
            assert (await query(port, ask("web.app.internal")))[3] & 15 == 3
        finally:
            behind.transport.close()

    served(test, servers, owner="")


def dns_answer(data: bytes) -> bytes:
    """An alias that holds 40 seconds, to an address that holds 300."""
    alias = b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, 40, 2) + b"\xc0\x0c"
    record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 300, 4) + bytes((192, 0, 2, 7))
    return data[:2] + b"\x81\x80\0\1\0\2\0\0\0\0" + data[12:] + alias + record
