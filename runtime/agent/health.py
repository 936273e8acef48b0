"""Is an instance healthy?

In: a check and an address.  Out: None, or what is wrong in words, within the check's timeout. No retry, no state.

The words are read by people and logged: of what the app answers they hold its status alone, of the check its path
without a query and the text that was looked for.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from runtime.agent.answers import Answer
from runtime.agent.calls import EngineCalls
from runtime.agent.executions import read_some
from runtime.container.port import EngineError
from runtime.model import ExecSpec, HealthCheck, HealthKind, InstanceSpec

log = logging.getLogger(__name__)
SHOWN_MOST = 100  # letters of a path or a text in a sentence


@dataclass(frozen=True)
class Problem:
    """Why a check failed: the end of a sentence. `listens`: something accepts connections, or need not."""

    words: str
    listens: bool = True


def kind_of(spec: InstanceSpec, address: str) -> HealthKind:
    """What can be checked: without a port or a network only a command, or whether it keeps running."""
    if spec.health.kind is HealthKind.COMMAND and spec.health.command:
        return HealthKind.COMMAND
    asks = spec.health.kind in (HealthKind.HTTP, HealthKind.TCP)
    return spec.health.kind if asks and address and spec.container.port else HealthKind.STEADY


async def find_problem(spec: InstanceSpec, address: str, calls: EngineCalls) -> Problem | None:
    """Ask once, in the way the check says. None: it is well."""
    if spec.health.kind is HealthKind.COMMAND:
        return await run_command(spec.health, spec.container.id, calls)
    return await probe(spec.health, address, spec.container.port or 0)


async def run_command(check: HealthCheck, container: str, calls: EngineCalls) -> Problem | None:
    """Run the check's command inside; it and all that it started is ended when it takes too long."""
    try:
        execution = await calls.execute(container, ExecSpec(argv=check.command))
    except EngineError as error:
        log.info("the check of %s could not be run: %s", container, error)
        return Problem("the check's command could not be run")
    try:
        execution.close_stdin()
        drains = [asyncio.ensure_future(_drain(fd)) for fd in (execution.stdout, execution.stderr) if fd >= 0]
        try:
            return _command_problem(await calls.wait_execution(execution, check.timeout), check.timeout)
        finally:
            for task in drains:
                task.cancel()
            await asyncio.gather(*drains, return_exceptions=True)
    finally:
        await calls.end_execution(execution)


def _command_problem(code: int | None, timeout: float) -> Problem | None:
    if code is None:
        return Problem(f"the check's command took longer than {timeout:g} seconds")
    return Problem(f"the check's command exited with status {code}") if code else None


async def _drain(descriptor: int) -> None:
    """Read and forget: a check that prints much must not be stopped by a full pipe."""
    while await read_some(descriptor):
        pass


async def probe(check: HealthCheck, address: str, port: int) -> Problem | None:
    """One HTTP or TCP check."""
    connected = False
    try:
        async with asyncio.timeout(check.timeout):
            reader, writer = await asyncio.open_connection(address, port)
            connected = True
            try:
                if check.kind is not HealthKind.HTTP:
                    return None
                writer.write(render_request(check, address, port))
                return await _answer_problem(Answer(reader), check)
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        return _silence(check, port, connected)
    except OSError:
        return _broken(check, port, connected)
    except ValueError:
        return Problem(f"{_asked(check)} was answered with what is no HTTP")


async def _answer_problem(answer: Answer, check: HealthCheck) -> Problem | None:
    line = await answer.line()
    if not line:
        return _broken(check, 0, True)
    if not is_healthy(line, check.statuses):
        status = status_of(line)
        how = f"status {status}" if status else "what is no HTTP"
        return Problem(f"{_asked(check)} was answered with {how}")
    if check.content and not await answer.contains(check.content.encode("utf-8", "replace")):
        return Problem(f"{_asked(check)} was answered without the text {_shown(check.content)!r}")
    return None


def _silence(check: HealthCheck, port: int, connected: bool) -> Problem:
    if connected:
        return Problem(f"{_asked(check)} was not answered within {check.timeout:g} seconds")
    return Problem(f"port {port} accepted no connection within {check.timeout:g} seconds", listens=False)


def _broken(check: HealthCheck, port: int, connected: bool) -> Problem:
    if connected:
        return Problem(f"{_asked(check)} was not answered: the connection was closed")
    return Problem(f"port {port} accepts no connections", listens=False)


def _asked(check: HealthCheck) -> str:
    """A query may hold a secret."""
    return f"GET {_shown(check.path.partition('?')[0])}"


def _shown(text: str) -> str:
    clean = "".join(letter if letter.isprintable() else " " for letter in text)
    return clean if len(clean) <= SHOWN_MOST else f"{clean[:SHOWN_MOST]}…"


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
    return statuses[0] <= status_of(status_line) <= statuses[1]


def status_of(status_line: bytes) -> int:
    """The status that an HTTP status line says, 0 when it is none."""
    words = status_line.split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit() or len(words[1]) != 3:
        return 0
    return int(words[1])
