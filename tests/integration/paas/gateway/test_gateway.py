"""The gateway as a process, with real TLS, in front of servers and an agent that this file plays."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from aiohttp import WSMsgType, web

from paas import authority
from paas.gateway import certificates
from paas.gateway.tickets import Ticket, issue
from runtime.attach import Control, Ended, InputEnd, SendSignal
from runtime.model import decode, encode
from runtime.tls import CONTROLLER, Credentials, host_identity, identity_of, server_context

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[4]
KEY = "k" * 32
AGENT = host_identity("one")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port


@dataclass
class Gateway:
    port: int
    web: int
    git: int
    authority: Path
    process: subprocess.Popen[bytes]

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    home = tmp_path_factory.mktemp("gateway")
    certificates.ensure(home, certificates.names_of("localhost", "localhost"))
    (home / "key").write_text(KEY)
    for name, identity in (("controller", CONTROLLER), ("agent", AGENT), ("other", host_identity("two"))):
        authority.ensure_machine(home, home / f"{name}.pem", identity, authority.now())
    Agent.home = home
    port, behind, git = free_port(), free_port(), free_port()
    settings = {
        "LISTEN": f"127.0.0.1:{port}",
        "WEB": f"127.0.0.1:{behind}",
        "GIT": f"127.0.0.1:{git}",
        "CERTIFICATE": str(home / "gateway.pem"),
        "PRIVATE_KEY": str(home / "gateway.key"),
        "TICKET_KEY_FILE": str(home / "key"),
        "MACHINE_FILE": str(home / "controller.pem"),
        "AUTHORITY_FILE": str(home / "ca.pem"),
    }
    environ = os.environ | {f"PAAS_GATEWAY_{name}": value for name, value in settings.items()}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "paas.gateway"], cwd=ROOT, env=environ, stderr=log)
    deadline = time.monotonic() + 20
    while b"listens on" not in (home / "log").read_bytes():
        assert process.poll() is None and time.monotonic() < deadline, (home / "log").read_text()
        time.sleep(0.02)
    yield Gateway(port, behind, git, home / "ca.pem", process)
    process.terminate()
    assert process.wait(10) == 0
    assert "Traceback" not in (home / "log").read_text()


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 40))


Act = Callable[[web.WebSocketResponse], Awaitable[None]]


@dataclass
class Agent:
    """What a host's agent would do, by a script. `known` False: it has not heard of the container yet."""

    home: ClassVar[Path]
    act: Act
    url: str = ""
    known: bool = True
    asked: list[str] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def attach(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(str(request.rel_url))
        assert request.transport is not None
        assert identity_of(request.transport.get_extra_info("peercert")) == CONTROLLER
        if not self.known:
            return web.json_response({"id": "not_found", "message": "There is no container."}, status=404)
        session = web.WebSocketResponse()
        await session.prepare(request)
        try:
            await self.act(session)
        finally:
            self.left.set()
        return session


@asynccontextmanager
async def agent(act: Act, name: str = "agent") -> AsyncIterator[Agent]:
    one = Agent(act)
    app = web.Application()
    app.add_routes([web.get("/v1/containers/{id}/attach", one.attach)])
    app.add_routes([web.get("/v1/containers/{id}/execs/{exec}", one.attach)])
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    context = server_context(Credentials(Agent.home / f"{name}.pem", Agent.home / "ca.pem"))
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    one.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield one
    finally:
        await runner.cleanup()


def secret_for(one: Agent, **changes: Any) -> str:
    values = {"agent": one.url, "identity": AGENT, "container": "c1", "expires": time.time() + 5, "tty": True}
    return issue(KEY, Ticket(**(values | changes)))


@asynccontextmanager
async def session(
    gateway: Gateway, secret: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("localhost", gateway.port, ssl=gateway.tls())
    writer.write(f"{secret}\r\n".encode())
    assert await reader.readexactly(12) == b"rendezvous\r\n"
    try:
        yield reader, writer
    finally:
        writer.close()


async def received(session: web.WebSocketResponse) -> bytes | Control:
    message = await session.receive(10)
    if message.type is WSMsgType.BINARY:
        return bytes(message.data)
    assert message.type is WSMsgType.TEXT, message
    control: Control = decode(message.data.encode(), Control)  # type: ignore[arg-type]
    return control


async def end(session: web.WebSocketResponse, code: int) -> None:
    await session.send_str(encode(Ended(code=code)).decode())
    await session.close()


def test_a_session_both_ways_and_its_status_for_who_asks(gateway: Gateway) -> None:
    async def act(far: web.WebSocketResponse) -> None:
        assert await received(far) == b"\0hello\x04"
        await far.send_bytes(b"\1out")
        await far.send_bytes(b"\2err")
        await end(far, 7)

    async def story() -> None:
        async with agent(act) as one:
            secret = secret_for(one, rows=33, columns=111)
            for wish, words in (
                ("", b"outerr"),
                ("?status=1", "outerr\uffff paas-exit-status: 7\r\n".encode()),
            ):
                began = time.monotonic()
                async with session(gateway, secret + wish) as (reader, writer):
                    writer.write(b"hello\x04")
                    assert await reader.read() == words
                    assert time.monotonic() - began > 0.4, "a client that still types needs a moment"
                secret = secret_for(one)
            assert one.asked[0] == "/v1/containers/c1/attach?rows=33&columns=111&first=1"

    run(story())


def test_the_greeting_is_a_record_of_its_own(gateway: Gateway) -> None:
    async def act(far: web.WebSocketResponse) -> None:
        await far.send_bytes(b"\1at once")
        await end(far, 0)

    async def story() -> None:
        async with agent(act) as one:
            secret = secret_for(one)

            def first_records() -> list[bytes]:
                with socket.create_connection(("localhost", gateway.port), 10) as plain:
                    with gateway.tls().wrap_socket(plain, server_hostname="localhost") as tls:
                        tls.sendall(f"{secret}\r\n".encode())
                        return [tls.recv(65536), tls.recv(65536)]  # SSL_read returns one record at most

            assert await asyncio.to_thread(first_records) == [b"rendezvous\r\n", b"at once"]

    run(story())


def test_a_pipe_gets_its_end_and_an_interrupt(gateway: Gateway) -> None:
    async def act(far: web.WebSocketResponse) -> None:
        assert await received(far) == b"\0a\x04b"
        assert await received(far) == b"\0c"
        assert await received(far) == InputEnd()
        assert await received(far) == SendSignal(number=2)
        await far.send_bytes(b"\1fine")
        await end(far, 0)

    async def story() -> None:
        async with agent(act) as one, session(gateway, secret_for(one, tty=False)) as (reader, writer):
            writer.write(b"a\x04b")
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(b"c\x04")
            await writer.drain()
            await asyncio.sleep(0.6)
            writer.write(b"\x03")
            assert await reader.read() == b"fine"

    run(story())


def test_who_leaves_leaves_the_agent_too(gateway: Gateway) -> None:
    async def act(far: web.WebSocketResponse) -> None:
        async for _ in far:
            pass

    async def story() -> None:
        async with agent(act) as one:
            async with session(gateway, secret_for(one, exec="e1")):
                pass
            await asyncio.wait_for(one.left.wait(), 5)
            assert one.asked == ["/v1/containers/c1/execs/e1"]

    run(story())


def test_a_host_that_hears_of_it_later_is_waited_for(gateway: Gateway) -> None:
    async def act(far: web.WebSocketResponse) -> None:
        await far.send_bytes(b"\1there")
        await end(far, 0)

    async def story() -> None:
        async with agent(act) as one:
            one.known = False
            asyncio.get_running_loop().call_later(0.5, setattr, one, "known", True)
            async with session(gateway, secret_for(one)) as (reader, _):
                assert await reader.read() == b"there"
            assert len(one.asked) > 1
            one.known = False
            async with session(gateway, secret_for(one, expires=time.time() + 1)) as (reader, _):
                assert await reader.read() == b" !    There is no container.\r\n"

    run(story())


def test_a_ticket_works_once_and_a_forged_one_never(gateway: Gateway) -> None:
    async def act(far: web.WebSocketResponse) -> None:
        await end(far, 0)

    async def words(secret: str) -> bytes:
        async with session(gateway, secret) as (reader, _):
            return await reader.read()

    async def story() -> None:
        async with agent(act) as one:
            secret = secret_for(one)
            assert await words(secret) == b""
            assert b"already" in await words(secret)
            assert b"no address" in await words(secret[:-4] + "AAAA")
            assert b"no address" in await words("x")
            assert b"Too late" in await words(secret_for(one, expires=time.time() - 1))
            assert len(one.asked) == 1

    run(story())


def test_an_agent_that_goes_away_is_said(gateway: Gateway) -> None:
    async def act(far: web.WebSocketResponse) -> None:
        await far.send_bytes(b"\1here")
        transport = far._req.transport if far._req else None
        assert transport is not None
        transport.abort()

    async def story() -> None:
        async with agent(act) as one, session(gateway, secret_for(one)) as (reader, _):
            assert await reader.read() == (
                b"here !    The connection to the host was lost. What ran there may still run.\r\n"
            )

    run(story())


@asynccontextmanager
async def server(port: int, name: str, seen: list[bytes]) -> AsyncIterator[None]:
    """A plain server that answers each connection with its name and what it was sent."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0
        )
        body = await reader.readexactly(length)
        seen.append(head)
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Length: {len(body) + len(name)}\r\n\r\n{name}".encode() + body
        )
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield
    finally:
        listener.close()


async def http(gateway: Gateway, head: str, body: bytes = b"") -> bytes:
    reader, writer = await asyncio.open_connection("localhost", gateway.port, ssl=gateway.tls())
    writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
    answer = await reader.read()
    writer.close()
    return answer


def test_requests_go_to_git_or_web(gateway: Gateway) -> None:
    async def story() -> None:
        seen: list[bytes] = []
        async with server(gateway.web, "web", seen), server(gateway.git, "git", seen):
            assert (await http(gateway, "GET /apps HTTP/1.1\nHost: x\nX-Forwarded-For: 1.2.3.4")).endswith(
                b"web"
            )
            body = os.urandom(3_000_000)
            head = f"POST /shop.git/git-receive-pack HTTP/1.1\nHost: x\nContent-Length: {len(body)}"
            assert (await http(gateway, head, body)).endswith(b"git" + body)
        assert b"X-Forwarded-For: 127.0.0.1\r\n" in seen[0] and b"1.2.3.4" not in seen[0]
        assert all(b"X-Forwarded-Proto: https\r\n" in head for head in seen)
        assert (await http(gateway, "GET / HTTP/1.1\nHost: x")).startswith(b"HTTP/1.1 502 ")
        assert (await http(gateway, "GET / HTTP/1.1\nA: " + "x" * 70_000)).startswith(b"HTTP/1.1 431 ")

    run(story())


def test_it_stays_small(gateway: Gateway) -> None:
    lines = Path(f"/proc/{gateway.process.pid}/smaps_rollup").read_text().splitlines()
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    assert kilobytes <= 22 * 1024
