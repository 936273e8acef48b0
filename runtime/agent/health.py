"""Is an instance healthy?

In: a check and an address.  Out: yes or no, within the check's timeout. No retry, no state.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from runtime.agent.calls import EngineCalls
from runtime.agent.executions import read_some
from runtime.container.port import EngineError
from runtime.model import ExecSpec, HealthCheck, HealthKind, InstanceSpec

log = logging.getLogger(__name__)


def kind_of(spec: InstanceSpec, address: str) -> HealthKind:
    """What can be checked: without a port or a network only a command, or whether it keeps running."""
    if spec.health.kind is HealthKind.COMMAND and spec.health.command:
        return HealthKind.COMMAND
    asks = spec.health.kind in (HealthKind.HTTP, HealthKind.TCP)
    return spec.health.kind if asks and address and spec.container.port else HealthKind.STEADY


async def is_well(spec: InstanceSpec, address: str, calls: EngineCalls) -> bool:
    """Ask once, in the way the check says."""
    if spec.health.kind is HealthKind.COMMAND:
        return await run_command(spec.health, spec.container.id, calls)
    return await probe(spec.health, address, spec.container.port or 0)


async def run_command(check: HealthCheck, container: str, calls: EngineCalls) -> bool:
    """Run the check's command inside; it and all that it started is ended when it takes too long."""
    try:
        execution = await calls.execute(container, ExecSpec(argv=check.command))
    except EngineError as error:
        log.info("the check of %s could not be run: %s", container, error)
        return False
    try:
        execution.close_stdin()
        drains = [asyncio.ensure_future(_drain(fd)) for fd in (execution.stdout, execution.stderr) if fd >= 0]
        try:
            return await calls.wait_execution(execution, check.timeout) == 0
        finally:
            for task in drains:
                task.cancel()
            await asyncio.gather(*drains, return_exceptions=True)
    finally:
        await calls.end_execution(execution)


async def _drain(descriptor: int) -> None:
    """Read and forget: a check that prints much must not be stopped by a full pipe."""
    while await read_some(descriptor):
        pass


async def probe(check: HealthCheck, address: str, port: int) -> bool:
    """One HTTP or TCP check."""
    try:
        async with asyncio.timeout(check.timeout):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                return check.kind is not HealthKind.HTTP or await _get(reader, writer, check, address, port)
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, ValueError, asyncio.LimitOverrunError):
        return False


async def _get(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, check: HealthCheck, address: str, port: int
) -> bool:
    writer.write(render_request(check, address, port))
    return is_healthy(await reader.readline(), check.statuses)


def render_request(check: HealthCheck, address: str, port: int) -> bytes:
    """The request of an HTTP check. What could break out of its line is left out."""
    headers = {"host": ("Host", f"{address}:{port}"), "user-agent": ("User-Agent", "paas-health/1")}
    headers |= {"accept": ("Accept", "*/*")}
    headers |= {name.lower(): (name, value) for name, value in check.headers.items()}
    headers |= {"connection": ("Connection", "close")}
    lines = [f"GET {check.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.values())]
    clean = ["".join(letter for letter in line if letter not in "\r\n\0") for line in lines]
    return "\r\n".join([*clean, "", ""]).encode("utf-8", "surrogateescape")


def is_healthy(status_line: bytes, statuses: tuple[int, int] = (200, 399)) -> bool:
    """Whether an HTTP status line says one of `statuses`, first to last."""
    words = status_line.split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        return False
    return statuses[0] <= int(words[1]) <= statuses[1]
