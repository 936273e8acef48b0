"""Instances and a controller for router tests: real servers on loopback. In: requests. Out: answers, records."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from typing import Any


class Loop:
    """An event loop in a thread of its own, for servers that a synchronous test talks to."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def close(self) -> None:
        async def cancel_all() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.run(cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


class Instance:
    """A web process. `/slow?SECONDS` answers late, `/close` never, `/half` in part, `/ws` upgrades and echoes."""

    def __init__(self, loop: Loop, name: str, port: int = 0) -> None:
        self.name, self._loop = name, loop
        self.requests = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._server = loop.run(asyncio.start_server(self._serve, "127.0.0.1", port))
        self.port = self._server.sockets[0].getsockname()[1]

    def kill(self) -> None:
        """Go away at once, cutting every connection, as a process does on SIGKILL."""

        async def end() -> None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()

        self._loop.run(end())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        target = head.split(" ", 2)[1]
        headers = [line.split(": ", 1) for line in head.split("\r\n")[1:] if line]
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        body = await reader.readexactly(int(lengths[0])) if lengths else b""
        self.requests += 1
        path, _, query = target.partition("?")
        if path == "/close":
            return False
        if path == "/half":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            await writer.drain()
            return False
        if path == "/ws":
            return await self._echo(reader, writer)
        if path == "/slow":
            await asyncio.sleep(float(query))
        status = "504 Mine" if path == "/own504" else "200 OK"
        answer = json.dumps(
            {"instance": self.name, "headers": headers, "target": target, "body": len(body)}
        ).encode()
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer)
        await writer.drain()
        return True

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        )
        while data := await reader.read(1000):
            writer.write(data)
            await writer.drain()
        return False


class Controller:
    """The controller's side: keeps reports and access lines, and hands out a table when it has one."""

    def __init__(self, loop: Loop) -> None:
        self.reports: list[dict[str, Any]] = []
        self.lines: list[dict[str, Any]] = []
        self.lost = 0
        self.table: bytes | None = None
        self.authorised: set[str] = set()
        self.down = False
        self.refused: list[str] = []
        self._loop = loop
        self._writers: set[asyncio.StreamWriter] = set()
        self._server = loop.run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()

        self._loop.run(end())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                fields = {
                    k.lower(): v for k, _, v in (line.partition(": ") for line in head.split("\r\n")[1:])
                }
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                status, answer = self._take(head.split(" ")[1], fields, body)
                writer.write(
                    f"HTTP/1.1 {status} X\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer
                )
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    def _take(self, path: str, fields: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if self.down:
            self.refused.append(path.rpartition("/")[2])
            return 503, b""
        self.authorised.add(fields.get("authorization", ""))
        if path.endswith("/report"):
            self.reports.append(json.loads(body))
            return 200, b'{"table": %s}' % (self.table or b"null")
        batch = json.loads(body)
        self.lines += batch["lines"]
        self.lost += batch["lost"]
        return 202, b"{}"
