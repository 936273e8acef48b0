"""How to see that a process is ready: one small question per kind of process.

In: an address or a line to wait for.  Out: True once the process does its work.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runtime.tls import Credentials, client_context

TIMEOUT = 2.0  # seconds for one question; it is asked again until the process' deadline


class Probe(Protocol):
    async def ready(self, log: Path, offset: int) -> bool:
        """Say whether the process whose log this is, written from `offset` on, is ready."""


@dataclass(frozen=True)
class Own:
    """A machine of this box is asked with its own certificate."""

    credentials: Credentials
    identity: str

    def context(self) -> ssl.SSLContext:
        """Raises OSError when it has none."""
        return client_context(self.credentials, self.identity)


@dataclass(frozen=True)
class Answers:
    """It answers HTTP with less than a 500."""

    address: tuple[str, int]
    path: str = "/"
    own: Own | None = None

    async def ready(self, log: Path, offset: int) -> bool:
        try:
            return await request("GET", self.address, self.path, own=self.own) < 500
        except (OSError, TimeoutError, ValueError):
            return False


@dataclass(frozen=True)
class Pongs:
    """Redis has read its data and answers on its unix socket."""

    socket: Path

    async def ready(self, log: Path, offset: int) -> bool:
        try:
            async with asyncio.timeout(TIMEOUT):
                reader, writer = await asyncio.open_unix_connection(self.socket)
                try:
                    writer.write(b"PING\r\n")
                    return (await reader.readline()).startswith(b"+PONG")
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False


@dataclass(frozen=True)
class Says:
    """It wrote a line that holds `text`."""

    text: str

    async def ready(self, log: Path, offset: int) -> bool:
        with log.open("rb") as stream:
            stream.seek(offset)
            return self.text.encode() in stream.read()


async def request(
    method: str,
    address: tuple[str, int],
    path: str,
    *,
    body: bytes = b"",
    own: Own | None = None,
    timeout: float = TIMEOUT,
) -> int:
    """Send one HTTP request and return the status. Raises OSError, TimeoutError, or ValueError for no HTTP."""
    headers = [f"{method} {path} HTTP/1.1", f"Host: {address[0]}:{address[1]}", "Connection: close"]
    if body:
        headers += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    tls = own.context() if own is not None else None
    async with asyncio.timeout(timeout):
        reader, writer = await asyncio.open_connection(*address, ssl=tls)
        try:
            writer.write("\r\n".join([*headers, "", ""]).encode() + body)
            status = int((await reader.readline()).split()[1])
            await reader.read()
            return status
        except IndexError as error:
            raise ValueError("The answer is not HTTP.") from error
        finally:
            writer.close()
