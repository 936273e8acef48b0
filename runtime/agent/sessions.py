"""Who is attached to which container.

In: clients as they come and go.  Out: the container's output to each of them, their input to the container.

There is one connection to a container's supervisor, however many clients it has: conmon would wait for the slowest of
them, and closes a pipe's stdin when any of its own connections ends.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from runtime.attach import STDERR, STDOUT
from runtime.container.conmon import PACKET
from runtime.model import ContainerSpec

CHANNELS = {2: bytes([STDOUT]), 3: bytes([STDERR])}  # conmon's number: ours
ROOM = 1024**2  # bytes waiting for one client
PATIENCE = 60.0  # seconds for a client of an interactive process to take them
END_OF_INPUT = b"\x04"  # what a terminal understands
RESTARTING = "The host's agent is being restarted: this session ends, the process goes on."
TOO_SLOW = "This client read too slowly and was left behind; attach again."


class Client:
    """One attached client: the output that waits for it."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._waiting = 0
        self._news, self._taken = asyncio.Event(), asyncio.Event()
        self._finished = False
        self.problem = ""  # why it got no more, '' when the process has ended

    def finish(self, problem: str = "") -> None:
        self.problem = self.problem or problem
        self._finished = True
        self._news.set()
        self._taken.set()

    async def put(self, frame: bytes, patience: float) -> None:
        """Add output; when there is no room within `patience` seconds the client is left behind."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._waiting >= ROOM and not self._finished:
                    self._taken.clear()
                    await self._taken.wait()
        if self._waiting >= ROOM:
            return self.finish(TOO_SLOW)
        self._frames.append(frame)
        self._waiting += len(frame)
        self._news.set()
        return None

    async def output(self) -> AsyncIterator[bytes]:
        """Yield frames (channel byte, then output) until there are no more."""
        while True:
            while self._frames and self.problem != TOO_SLOW:
                frame = self._frames.popleft()
                self._waiting -= len(frame)
                self._taken.set()
                yield frame
            if self._finished:
                return
            self._news.clear()
            await self._news.wait()


class Session:
    """The connection to one container's supervisor, and its clients."""

    def __init__(self, spec: ContainerSpec, connection: socket.socket) -> None:
        self.spec = spec
        self.clients: set[Client] = set()
        self._connection = connection
        connection.setblocking(False)
        self._writing = asyncio.Lock()
        self._input_ended = False
        self.reading = asyncio.create_task(self._read(), name=f"session {spec.id}")

    @property
    def outlives_clients(self) -> bool:
        """A pipe's stdin ends with the connection: the next client must find it open."""
        return self.spec.stdin and not self.spec.tty and not self._input_ended

    async def write(self, data: bytes) -> None:
        """Send input. Dropped when the container takes none, or no more."""
        if not self.spec.stdin or self._input_ended:
            return
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            async with self._writing:
                for start in range(0, len(data), PACKET):
                    await loop.sock_sendall(self._connection, data[start : start + PACKET])

    async def end_input(self) -> None:
        if self.spec.tty:
            return await self.write(END_OF_INPUT)
        async with self._writing:
            if self.spec.stdin and not self._input_ended:
                self._input_ended = True
                with suppress(OSError):
                    self._connection.shutdown(socket.SHUT_WR)
        return None

    def close(self, problem: str = "") -> None:
        self.reading.cancel()
        self._connection.close()
        for client in self.clients:
            client.finish(problem)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while packet := await loop.sock_recv(self._connection, 65536):
                frame = CHANNELS.get(packet[0], CHANNELS[2]) + packet[1:]
                for client in tuple(self.clients):
                    # An app is never held up by who watches it; what is typed at waits for its user's network.
                    await client.put(frame, PATIENCE if self.spec.stdin else 0)
        for client in self.clients:
            client.finish()


@dataclass
class Presence:
    """Whether anybody is, or was, with a container. `ready`: the first client's session is open."""

    count: int = 0
    came: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)


class Sessions:
    """All sessions of a host. Lives on the event loop."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._presences: dict[str, Presence] = {}
        self._joining = asyncio.Lock()
        self.closing = False

    def presence(self, container: str) -> Presence:
        return self._presences.setdefault(container, Presence())

    def arrive(self, container: str) -> None:
        presence = self.presence(container)
        presence.count += 1
        presence.came.set()

    def depart(self, container: str) -> None:
        presence = self._presences.get(container)
        if presence is not None:
            presence.count -= 1
            if not presence.count and not self.closing:
                presence.left.set()

    async def join(
        self, spec: ContainerSpec, connect: Callable[[], Awaitable[socket.socket]]
    ) -> tuple[Session, Client]:
        """Attach a client, opening the connection if it is the first."""
        async with self._joining:
            session = self._sessions.get(spec.id)
            if session is None or session.reading.done():
                session = Session(spec, await connect())
                self._sessions[spec.id] = session
        client = Client()
        session.clients.add(client)
        if presence := self._presences.get(spec.id):
            presence.ready.set()
        return session, client

    def leave(self, session: Session, client: Client) -> None:
        """Detach a client. The connection goes with the last one, if nothing is lost by that."""
        session.clients.discard(client)
        client.finish()
        if not session.clients and (session.reading.done() or not session.outlives_clients):
            self._drop(session)

    async def abandoned(self, container: str, seconds: float) -> str:
        """Wait until nobody came within `seconds`, or the last client has left; return which, in words."""
        presence = self.presence(container)
        try:
            await asyncio.wait_for(presence.came.wait(), seconds)
        except TimeoutError:
            return f"nobody attached within {seconds:g} seconds"
        await presence.left.wait()
        return "its user has left"

    def forget(self, container: str) -> None:
        """The container is gone."""
        self._presences.pop(container, None)
        session = self._sessions.get(container)
        if session and (session.reading.done() or not session.clients):
            self._drop(session)

    def close(self, problem: str = RESTARTING) -> None:
        """End every session; what runs goes on."""
        self.closing = True
        for session in self._sessions.values():
            session.close(problem)
        self._sessions.clear()

    def _drop(self, session: Session) -> None:
        session.close()
        if self._sessions.get(session.spec.id) is session:
            del self._sessions[session.spec.id]
