"""Attaching to a container, or to a further process in one, through its host's agent: types and an asyncio client.

In: the agent's address, and a TLS context or a token.  Out: an `Attachment`: bytes both ways, resize, half-close,
signals, how it ended.

The wire is a websocket (RFC 6455). Binary messages begin with a channel byte (0 stdin, 1 stdout, 2 stderr); text
messages are JSON `Control`s. Imports nothing heavy: a process that carries many sessions must stay small.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlencode, urlsplit

from runtime.model import CopySpec, ErrorBody, ExecMade, ExecSpec, Struct, decode, encode

STDIN, STDOUT, STDERR = 0, 1, 2
ANSWER_SECONDS = 75.0  # a container that is still being made is waited for
LARGEST_MESSAGE = 4 * 1024**2
LOST = "The connection to the host was lost. What ran there may still run."
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_FINAL, _MASKED = 0x80, 0x80


class Resize(Struct, tag="resize"):
    """To the host: the user's terminal has another size."""

    rows: int
    columns: int


class InputEnd(Struct, tag="eof"):
    """No more input will come. From the host: a forwarded connection's other side sends no more."""


class SendSignal(Struct, tag="signal"):
    """To the host: send this signal to the process."""

    number: int


class Ended(Struct, tag="exit"):
    """From the host: how it ended; the last message. `code` as a shell shows it, None when it is not known."""

    code: int | None = None
    message: str = ""


class Broken(Struct, tag="error"):
    """From the host: the session ends, whatever the process does. The last message."""

    message: str


Control = Resize | InputEnd | SendSignal | Ended | Broken


class AttachError(Exception):
    """There is no session, or it ended before the process: a sentence for the user."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


def attach_path(container: str, *, first: bool = False, rows: int = 0, columns: int = 0) -> str:
    """Return the path for attaching to a container. `first`: refuse when somebody was attached before."""
    query = {"rows": rows, "columns": columns, **({"first": 1} if first else {})}
    return f"/v1/containers/{container}/attach?{urlencode(query)}"


def forward_path(container: str, port: int) -> str:
    """Return the path for one connection to a port inside a container."""
    return f"/v1/containers/{container}/forward/{port}"


def exec_path(container: str, exec_id: str) -> str:
    return f"/v1/containers/{container}/execs/{exec_id}"


class Attachment:
    """One session. Use `attach` or `execute` to get one; `close` leaves it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.ended: Ended | None = None

    async def write(self, data: bytes) -> None:
        """Send input; waits while the process does not read."""
        for start in range(0, len(data), 65536):
            await self._send(_BINARY, bytes([STDIN]) + data[start : start + 65536])

    async def control(self, value: Control) -> None:
        await self._send(_TEXT, encode(value))

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield (channel, bytes) until the process has ended; then `ended` says how. b'': the other side of a
        forwarded connection sends no more, but may still read.

        Raises AttachError with a sentence when the session ends before the process.
        """
        while True:
            try:
                kind, data = await self._receive()
            except (OSError, EOFError) as error:
                raise AttachError(LOST) from error
            if kind == _BINARY and data:
                yield data[0], data[1:]
            elif kind == _TEXT:
                value: Control = decode(data, Control)  # type: ignore[arg-type]
                if isinstance(value, Ended):
                    self.ended = value
                    return
                if isinstance(value, Broken):
                    raise AttachError(value.message)
                if isinstance(value, InputEnd):
                    yield STDOUT, b""
            elif kind == _CLOSE:
                raise AttachError(LOST)

    async def close(self) -> None:
        with suppress(OSError):
            await self._send(_CLOSE, b"")
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _send(self, kind: int, data: bytes) -> None:
        self._writer.write(render_frame(kind, data, os.urandom(4)))
        await self._writer.drain()

    async def _receive(self) -> tuple[int, bytes]:
        """Return the next whole message, answering pings on the way."""
        whole, message_kind = b"", 0
        while True:
            first, size = await self._reader.readexactly(2)
            if size >= 126:
                size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8))
            if size > LARGEST_MESSAGE:
                raise EOFError("a message is too large")
            data = await self._reader.readexactly(size)
            kind = first & 0x0F
            if kind == _PING:
                await self._send(_PONG, data)
            elif kind != _PONG:
                message_kind = kind or message_kind
                whole += data
                if first & _FINAL:
                    return message_kind, whole


def render_frame(kind: int, data: bytes, mask: bytes) -> bytes:
    """Return one final, masked frame (RFC 6455 section 5.2)."""
    size = len(data)
    if size < 126:
        head = bytes([_FINAL | kind, _MASKED | size])
    elif size < 65536:
        head = bytes([_FINAL | kind, _MASKED | 126]) + size.to_bytes(2)
    else:
        head = bytes([_FINAL | kind, _MASKED | 127]) + size.to_bytes(8)
    repeated = (mask * (size // 4 + 1))[:size]
    return head + mask + (int.from_bytes(data) ^ int.from_bytes(repeated)).to_bytes(size)


async def attach(base_url: str, token: str, path: str, tls: ssl.SSLContext | None = None) -> Attachment:
    """Open the session at `path` of an agent. Raises AttachError with the agent's sentence and status."""
    reader, writer = await _open(base_url, tls)
    try:
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = {"Upgrade": "websocket", "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13"}
        head = _head("GET", base_url, path, token, {"Connection": "Upgrade", **upgrade})
        status, body = await _ask(reader, writer, head)
    except BaseException:
        writer.close()
        raise
    if status != 101:
        writer.close()
        raise _refused(status, body)
    return Attachment(reader, writer)


async def execute(
    base_url: str, token: str, container: str, spec: ExecSpec, tls: ssl.SSLContext | None = None
) -> Attachment:
    """Run a further process in a container, and attach to it. Raises AttachError."""
    return await _promised(base_url, token, container, "execs", spec, tls)


async def copy(
    base_url: str, token: str, container: str, spec: CopySpec, tls: ssl.SSLContext | None = None
) -> Attachment:
    """Copy files into a container or out of it, as a tar stream. Raises AttachError."""
    return await _promised(base_url, token, container, "copies", spec, tls)


async def _promised(
    base_url: str, token: str, container: str, kind: str, spec: Struct, tls: ssl.SSLContext | None
) -> Attachment:
    body = encode(spec)
    extra = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
    path = f"/v1/containers/{container}/{kind}"
    reader, writer = await _open(base_url, tls)
    try:
        status, answer = await _ask(reader, writer, _head("POST", base_url, path, token, extra) + body)
    finally:
        writer.close()
    if status != 201:
        raise _refused(status, answer)
    return await attach(base_url, token, exec_path(container, decode(answer, ExecMade).id), tls)


def _refused(status: int, body: bytes) -> AttachError:
    try:
        return AttachError(decode(body, ErrorBody).message, status)
    except ValueError:
        return AttachError(f"The host's agent answered with status {status}.", status)


async def _open(
    base_url: str, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(base_url)
    secure = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
    port = parts.port or (443 if secure else 80)
    try:
        async with asyncio.timeout(10):
            return await asyncio.open_connection(parts.hostname, port, ssl=secure)
    except (OSError, TimeoutError) as error:
        raise AttachError("The host's agent does not answer; try again in a moment.") from error


def _head(method: str, base_url: str, path: str, token: str, extra: dict[str, str]) -> bytes:
    shown = {"Authorization": f"Bearer {token}"} if token else {}
    headers = {"Host": urlsplit(base_url).netloc, **shown, **extra}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, bytes]:
    """Send a request; return the status, and the body of an answer that is no upgrade."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            writer.write(request)
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(head[0].split()[1])
            headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head[1:]}
            if status == 101:
                return status, b""
            return status, await reader.readexactly(int(headers.get("content-length", "0")))
    except (OSError, EOFError, TimeoutError, ValueError, IndexError, asyncio.LimitOverrunError) as error:
        raise AttachError("The host's agent does not answer; try again in a moment.") from error
