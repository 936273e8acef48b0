"""The controller, seen from a host.

In: reports, log lines, finished slugs.  Out: wanted state, images, job inputs. Every failure is a `ControllerError`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec

from runtime.model import HostReport, ImageRef, LogBatch, ReportReply, decode, encode

CHUNK = 1024**2
SHORT = aiohttp.ClientTimeout(total=15, sock_connect=5)
TRANSFER = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60)
JSON = {"Content-Type": "application/json"}


class ControllerError(Exception):
    """The controller could not be asked; trying again may help."""


class Refused(ControllerError):
    """The controller said no (4xx `status`); trying again will not help."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Controller:
    """One HTTP session to the controller's internal API."""

    def __init__(self, base: str, token: str, host: str, tls: ssl.SSLContext | None = None) -> None:
        self._base = base
        self._host = host
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connector = aiohttp.TCPConnector(ssl=tls) if tls else None
        self._session = aiohttp.ClientSession(headers=headers, connector=connector)

    @property
    def exists(self) -> bool:
        """Whether this host has a controller at all."""
        return bool(self._base)

    async def close(self) -> None:
        await self._session.close()

    async def fetch(self, path: str, target: Path) -> None:
        """Stream `path` into the new file `target`; no file is left behind on failure."""
        try:
            async with self._ask("GET", path, timeout=TRANSFER) as response:
                await _save(response, target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    async def fetch_image(self, ref: ImageRef, target: Path) -> None:
        await self.fetch(_image(ref), target)

    async def put_image(self, ref: ImageRef, file: Path) -> int:
        """Upload an image unless the image store has it; the bytes sent."""
        try:
            async with self._ask("HEAD", _image(ref), timeout=SHORT):
                return 0
        except Refused:
            pass
        with file.open("rb") as data:
            headers = {"Content-Length": str(ref.size), "Content-Type": "application/octet-stream"}
            async with self._ask("PUT", _image(ref), data=data, headers=headers, timeout=TRANSFER):
                return ref.size

    async def report(self, report: HostReport) -> ReportReply:
        path = f"/internal/hosts/{self._host}/report"
        async with self._ask("POST", path, data=encode(report), headers=JSON, timeout=SHORT) as response:
            body = await response.read()
        try:
            return decode(body, ReportReply) if body else ReportReply()
        except ValueError as error:
            raise ControllerError(f"the answer to a report cannot be read: {error}") from error

    async def send_logs(self, batches: tuple[LogBatch, ...]) -> None:
        path = f"/internal/hosts/{self._host}/logs"
        data = msgspec.json.encode(batches)
        async with self._ask("POST", path, data=data, headers=JSON, timeout=SHORT):
            pass

    @asynccontextmanager
    async def _ask(
        self,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,
        data: object = None,
        headers: dict[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if not self._base:
            raise Refused(f"{path} is needed but this host has no controller; set PAAS_AGENT_CONTROLLER", 404)
        url = f"{self._base}{path}"
        try:
            async with self._session.request(
                method, url, data=data, headers=headers, timeout=timeout
            ) as response:
                await _check(method, path, response)
                yield response
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise ControllerError(f"{method} {url}: {error or type(error).__name__}") from error


def _image(ref: ImageRef) -> str:
    return f"/internal/images/{ref.digest}"


async def _check(method: str, path: str, response: aiohttp.ClientResponse) -> None:
    if response.status < 300:
        return
    text = (await response.content.read(500)).decode("utf-8", "replace")
    message = f"{method} {path} was answered {response.status}: {text}".rstrip(": ")
    retriable = response.status >= 500 or response.status in (401, 403, 408, 409, 425, 429)
    raise ControllerError(message) if retriable else Refused(message, response.status)


async def _save(response: aiohttp.ClientResponse, target: Path) -> None:
    with target.open("xb") as file:
        async for chunk in response.content.iter_chunked(CHUNK):
            await asyncio.to_thread(file.write, chunk)
