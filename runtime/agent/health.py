"""Is an instance healthy?

In: a check and an address.  Out: yes or no, within the check's timeout. No retry, no state.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from runtime.model import HealthCheck, HealthKind, InstanceSpec


def kind_of(spec: InstanceSpec, address: str) -> HealthKind:
    """What can be checked: without a port or a network only whether it keeps running."""
    return spec.health.kind if address and spec.container.port else HealthKind.STEADY


async def probe(check: HealthCheck, address: str, port: int) -> bool:
    """One HTTP or TCP check."""
    try:
        async with asyncio.timeout(check.timeout):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                return check.kind is not HealthKind.HTTP or await _get(
                    reader, writer, check.path, address, port
                )
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, ValueError, asyncio.LimitOverrunError):
        return False


async def _get(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, address: str, port: int
) -> bool:
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: {address}:{port}\r\nUser-Agent: paas-health/1\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n".encode()
    )
    return is_healthy(await reader.readline())


def is_healthy(status_line: bytes) -> bool:
    """Whether an HTTP status line says 200-399."""
    words = status_line.split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        return False
    return 200 <= int(words[1]) < 400
