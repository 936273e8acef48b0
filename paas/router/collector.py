"""Receives HAProxy's log ring. In: octet-counted messages over loopback TCP. Out: counted requests and access lines."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections import deque
from collections.abc import Callable

from paas.router.accesslog import access_line, is_remark, read_line
from paas.router.metrics import Metrics
from paas.router.table import AccessBatch, AccessLine

log = logging.getLogger(__name__)

LONGEST = 65536
# Linger, for no time: a connection ends with a reset, also when this process is killed. HAProxy 3.0 (Debian 13) takes
# no notice of one that ends in order: it goes on writing into it and never connects again (haproxy issue 3153).
RESET = struct.pack("ii", 1, 0)


class AccessBuffer:
    """Lines that wait for the controller, at most `limit`: when it is full the oldest go, and are counted."""

    def __init__(self, limit: int = 20000) -> None:
        self._limit = limit
        self._lines: deque[AccessLine] = deque()
        self._lost = 0
        self.total_lost = 0
        self.filled = asyncio.Event()

    def put(self, line: AccessLine) -> None:
        self._lines.append(line)
        if len(self._lines) > self._limit:
            self._lines.popleft()
            self.lose(1)
        self.filled.set()

    def lose(self, count: int) -> None:
        """Count lines that never reach the controller."""
        self._lost += count
        self.total_lost += count

    def take(self, router: str, most: int) -> AccessBatch:
        """Return the oldest lines and the number lost before them, and forget both."""
        lines = tuple(self._lines.popleft() for _ in range(min(most, len(self._lines))))
        lost, self._lost = self._lost, 0
        if not self._lines:
            self.filled.clear()
        return AccessBatch(router=router, lines=lines, lost=lost)

    def give_back(self, batch: AccessBatch) -> None:
        """Put a batch that could not be delivered back in front, as far as there is room."""
        room = max(self._limit - len(self._lines), 0)
        kept = batch.lines[len(batch.lines) - room :] if room < len(batch.lines) else batch.lines
        self._lines.extendleft(reversed(kept))
        self._lost += batch.lost
        self.lose(len(batch.lines) - len(kept))
        self.filled.set()


class Collector:
    """The receiving end of the ring. One connection per HAProxy process."""

    def __init__(
        self, key: str, buffer: AccessBuffer, metrics: Metrics, remarked: Callable[[], None]
    ) -> None:
        self._key, self._buffer, self._metrics, self._remarked = key, buffer, metrics, remarked
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    async def listen(self, port: int) -> int:
        """Listen on loopback, on `port` if it is free, and return the port. HAProxy's configuration names it."""
        for wish in (port, 0):
            with contextlib.suppress(OSError):
                self._server = await asyncio.start_server(self._serve, "127.0.0.1", wish, limit=LONGEST * 2)
                return int(self._server.sockets[0].getsockname()[1])
        raise OSError("no loopback port is free for HAProxy's log")

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._connections:
                writer.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        try:
            while True:
                self._receive(await read_message(reader))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass  # HAProxy ended or reloaded, or somebody else called: it connects again when it has lines
        except asyncio.CancelledError:
            pass  # this process ends; asyncio's streams in Python 3.11 report a cancelled handler as an error
        finally:
            self._connections.discard(writer)
            writer.close()

    def _receive(self, message: bytes) -> None:
        line = read_line(message, self._key)
        if line is None:
            if is_remark(message):
                self._remarked()
            return
        access = access_line(line)
        self._metrics.count(line.app, access.status if access else max(line.status, 0), max(line.active, 0))
        if access is not None:
            self._buffer.put(access)


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """Return the next octet-counted message (RFC 6587). Raises ValueError if the stream is something else."""
    count = int(await reader.readuntil(b" "))
    if not 0 <= count <= LONGEST:
        raise ValueError(f"a log message of {count} bytes")
    return await reader.readexactly(count)
