"""Serves a folder over HTTP/1.1 where a stack has no nginx.

In: a folder, a port, `--spa`, the site's rules beside it.  Out: a server in the foreground that ends cleanly on
SIGTERM.
Standard library only: this file is copied into the slug of a static site.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import signal
import sys
from collections import OrderedDict
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

from .site_rules import Rules, read_rules
from .static_reply import (
    Reply,
    Request,
    Served,
    find,
    local_path,
    packed,
    parse_request,
    plain,
    redirect,
    reply_to_file,
    rewritten,
)

RULES_FILE = "rules.json"
HEAD_LIMIT = 32 * 1024
IDLE_SECONDS = 75.0
WRITE_SECONDS = 60.0
DRAIN_SECONDS = 25.0
CHUNK = 256 * 1024
CACHE_BYTES = 16 * 1024**2


class Site:
    """One folder. Hashes and compressed bodies are kept: the files of a slug never change while it runs."""

    def __init__(self, root: Path, *, spa: bool, rules: Rules | None = None) -> None:
        self.root = root
        self.spa = spa
        self.rules = rules or Rules()
        self._tags: dict[tuple[str, int, int], str] = {}
        self._compressed: OrderedDict[str, bytes] = OrderedDict()

    async def answer(self, request: Request) -> Reply:
        """Decide the reply to one request."""
        if request.method not in ("GET", "HEAD"):
            return plain(405, "Only GET and HEAD are served here.", ("Allow", "GET, HEAD"))
        path = local_path(request.target)
        if path is None or path in self.rules.hidden:
            return await self._missing(request)
        reply = await self._answer_path(request, path)
        extra = self.rules.headers_for(f"/{path}")
        names = {name.lower() for name, _ in extra}
        kept = tuple(header for header in reply.headers if header[0].lower() not in names)
        return replace(reply, headers=(*kept, *extra))

    async def _answer_path(self, request: Request, path: str) -> Reply:
        found = find(self.root, path)
        if found is None and self.rules.clean_urls:
            found = find(self.root, f"{path}.html")
        rule = self.rules.redirect(f"/{path}", there=found is not None)
        if rule is not None and rule[0] not in (200, 404):
            return rewritten(rule[0], rule[1], request.target)
        if rule is not None:
            target = find(self.root, rule[1].strip("/") or "index.html")
            if isinstance(target, Served):
                return await self._file(request, target, rule[0])
        if isinstance(found, str):
            return redirect(found, request.target)
        if found is None and self.spa:
            found = await asyncio.to_thread(find, self.root, "index.html")
        return (
            await self._file(request, found, 200)
            if isinstance(found, Served)
            else await self._missing(request)
        )

    async def _missing(self, request: Request) -> Reply:
        page = find(self.root, self.rules.error_page)
        return await self._file(request, page, 404) if isinstance(page, Served) else plain(404, "Not found.")

    async def _file(self, request: Request, file: Served, status: int) -> Reply:
        """Send a file, or the form of it that the build has compressed already."""
        tagged = await self._tagged(file)
        smaller = packed(request, file)
        if smaller is None:
            return reply_to_file(request, tagged, status=status)
        encoding, path = smaller
        size = path.stat().st_size
        return reply_to_file(
            request, tagged, status=status, instead=replace(tagged, path=path, size=size), encoding=encoding
        )

    async def _tagged(self, file: Served) -> Served:
        key = (str(file.path), file.size, file.mtime)
        if key not in self._tags:
            self._tags[key] = await asyncio.to_thread(hash_file, file.path)
        return replace(file, tag=self._tags[key])

    async def compressed(self, file: Served) -> bytes:
        body = self._compressed.get(file.tag)
        if body is None:
            body = await asyncio.to_thread(lambda: gzip.compress(file.path.read_bytes(), 6, mtime=0))
            self._compressed[file.tag] = body
            while sum(map(len, self._compressed.values())) > CACHE_BYTES:
                self._compressed.popitem(last=False)
        self._compressed.move_to_end(file.tag) if file.tag in self._compressed else None
        return body


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


class Server:
    """Connections of one listening socket. After `stop` each ends with the request it is in."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._stopping = False
        self._idle: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            self._idle.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read one request, send one reply. True when the connection can carry another."""
        self._idle.add(writer)
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), IDLE_SECONDS)
        except asyncio.LimitOverrunError:
            await self._send(writer, "GET", plain(431, "The request's headers are too large."), keep=False)
            return False
        finally:
            self._idle.discard(writer)
        request = parse_request(head[:-4])
        if request is None:
            await self._send(writer, "GET", plain(400, "This is no HTTP/1.1 request."), keep=False)
            return False
        has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
        asked = request.headers.get("connection", "").lower()
        keep = "close" not in asked and (request.version == "HTTP/1.1" or "keep-alive" in asked)
        keep = keep and not has_body and not self._stopping
        await self._send(writer, request.method, await self._site.answer(request), keep=keep)
        return keep

    async def _send(self, writer: asyncio.StreamWriter, method: str, reply: Reply, *, keep: bool) -> None:
        body = await self._site.compressed(reply.file) if reply.gzip and reply.file else reply.body
        length = reply.length if reply.file and not reply.gzip else len(body)
        lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in reply.headers]
        if reply.status != 304:
            lines.append(f"Content-Length: {length}")
        lines.append("Connection: keep-alive" if keep else "Connection: close")
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        if method != "HEAD" and reply.status != 304:
            if reply.file and not reply.gzip:
                await send_file(writer, reply)
            else:
                writer.write(body)
        await asyncio.wait_for(writer.drain(), WRITE_SECONDS)

    async def stop(self) -> None:
        """Close idle connections, let running replies end."""
        self._stopping = True
        for writer in list(self._idle):
            writer.close()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=DRAIN_SECONDS)


async def send_file(writer: asyncio.StreamWriter, reply: Reply) -> None:
    """Send part of a file in chunks; a reader that takes none for a minute is dropped."""
    assert reply.file is not None
    left = reply.length
    with reply.file.path.open("rb") as file:
        file.seek(reply.start)
        while left > 0:
            chunk = file.read(min(CHUNK, left))
            if not chunk:
                raise EOFError
            left -= len(chunk)
            writer.write(chunk)
            await asyncio.wait_for(writer.drain(), WRITE_SECONDS)


async def serve(root: Path, port: int, *, spa: bool) -> None:
    """Serve until SIGTERM or SIGINT."""
    server = Server(Site(root, spa=spa, rules=read_rules(Path(__file__).with_name(RULES_FILE))))
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    listener = await asyncio.start_server(server.connection, "0.0.0.0", port, limit=HEAD_LIMIT, backlog=1024)
    print(f"Serving {root} on port {listener.sockets[0].getsockname()[1]}", flush=True)
    await stopped.wait()
    listener.close()
    await server.stop()


def main(arguments: list[str]) -> int:
    if len(arguments) < 2 or not arguments[1].isdigit():
        print("usage: static_server ROOT PORT [--spa]", file=sys.stderr)
        return 2
    asyncio.run(serve(Path(arguments[0]), int(arguments[1]), spa="--spa" in arguments[2:]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
