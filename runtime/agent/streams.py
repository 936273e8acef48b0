"""Attach and exec: requests that become streams in both directions.

In: websockets, as `runtime.attach` describes them.  Out: the stdio of containers and of further processes in them.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from aiohttp import WSMsgType, web

from runtime.agent.calls import EngineCalls
from runtime.agent.executions import ExecInput, exec_output
from runtime.agent.forwarding import carry_connection
from runtime.agent.host import Host
from runtime.agent.job import Job
from runtime.agent.lifecycle import RUNNING
from runtime.agent.sessions import RESTARTING, Client, Session, Sessions
from runtime.attach import (
    LARGEST_MESSAGE,
    STDIN,
    Broken,
    Control,
    Ended,
    InputEnd,
    Resize,
    SendSignal,
)
from runtime.container.copies import check as check_copy
from runtime.container.execs import check
from runtime.container.port import EngineError, Execution
from runtime.model import ContainerSpec, CopySpec, ExecMade, ExecSpec, ExitInfo, decode, encode

log = logging.getLogger(__name__)
CREATE_SECONDS = 180.0  # images may have to be fetched first
EXEC_SECONDS = 60.0  # from asking for a process to attaching to it
EXIT_SECONDS = 20.0
HEARTBEAT = 30.0
LARGEST_SIZE = 4096  # rows, columns


class Refused(Exception):
    """The request cannot become a stream. `status` and `id` are HTTP's and the API's."""

    def __init__(self, status: int, id: str, message: str) -> None:
        super().__init__(message)
        self.status, self.id = status, id


class Input(Protocol):
    """What a client's messages are for."""

    async def write(self, data: bytes) -> None: ...

    async def end_input(self) -> None: ...

    async def resize(self, rows: int, columns: int) -> None: ...

    async def signal(self, number: int) -> None: ...


class Streams:
    """The handlers. Pending execs are forgotten when nobody attaches to them."""

    def __init__(self, host: Host, calls: EngineCalls, sessions: Sessions) -> None:
        self._host = host
        self._calls = calls
        self._sessions = sessions
        self._pending: dict[tuple[str, str], ExecSpec | CopySpec] = {}
        self._running: set[asyncio.Task[object]] = set()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/containers/{id}/attach", self._attach),
            web.post("/v1/containers/{id}/execs", self._make_exec),
            web.post("/v1/containers/{id}/copies", self._make_copy),
            web.get("/v1/containers/{id}/execs/{exec}", self._exec),
            web.get("/v1/containers/{id}/forward/{port}", self._forward),
        ]

    async def close(self, _: web.Application | None = None) -> None:
        """End every stream with a clear line. Containers go on; further processes in them end."""
        self._sessions.close()
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=5)

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        id_ = request.match_info["id"]
        spec = self._spec(id_)
        if request.query.get("first") == "1" and self._sessions.presence(id_).came.is_set():
            raise Refused(409, "attached_before", "Somebody was attached to this process before.")
        if id_ in self._host.jobs and not self._host.jobs[id_].ended.is_set():
            self._sessions.arrive(id_)
        try:
            await self._exists(id_)
            await self._initial_size(request, spec)
            session, client = await self._sessions.join(spec, lambda: self._calls.attach(id_))
            try:
                socket = await _upgrade(request)
                entry = ContainerInput(self._calls, session)
                await _carry(socket, entry, client.output(), lambda: self._verdict(id_, client))
            finally:
                self._sessions.leave(session, client)
        finally:
            self._sessions.depart(id_)
        return socket

    async def _initial_size(self, request: web.Request, spec: ContainerSpec) -> None:
        """Before a process is started, so that it never sees another size."""
        rows, columns = (request.query.get(name, "0") for name in ("rows", "columns"))
        if spec.tty and rows.isdigit() and columns.isdigit() and int(rows) and int(columns):
            await self._calls.resize(spec.id, min(int(rows), LARGEST_SIZE), min(int(columns), LARGEST_SIZE))

    async def _make_exec(self, request: web.Request) -> web.StreamResponse:
        id_ = request.match_info["id"]
        try:
            spec = decode(await request.read(), ExecSpec)
            check(spec)
        except (ValueError, EngineError) as error:
            raise Refused(400, "invalid", f"The body is not a valid ExecSpec: {error}") from error
        return self._promise(id_, spec)

    async def _make_copy(self, request: web.Request) -> web.StreamResponse:
        try:
            spec = decode(await request.read(), CopySpec)
            check_copy(spec)
        except (ValueError, EngineError) as error:
            raise Refused(400, "invalid", f"The body is not a valid CopySpec: {error}") from error
        return self._promise(request.match_info["id"], spec)

    def _promise(self, id_: str, spec: ExecSpec | CopySpec) -> web.StreamResponse:
        self._spec(id_)
        self._require_running(id_)
        key = (id_, secrets.token_hex(8))
        self._pending[key] = spec
        asyncio.get_running_loop().call_later(EXEC_SECONDS, self._pending.pop, key, None)
        return web.Response(body=encode(ExecMade(id=key[1])), status=201, content_type="application/json")

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        id_ = request.match_info["id"]
        spec = self._pending.pop((id_, request.match_info["exec"]), None)
        if spec is None:
            raise Refused(
                404, "not_found", "There is no such process to attach to, or it was attached to before."
            )
        self._require_running(id_)
        try:
            if isinstance(spec, CopySpec):
                execution = await self._calls.copy(id_, spec)
            else:
                execution = await self._calls.execute(id_, spec)
        except EngineError as error:
            raise Refused(422, "not_started", str(error)) from error
        task: asyncio.Task[object] | None = asyncio.current_task()
        if task:
            self._running.add(task)
        try:
            socket = await _upgrade(request)
            entry = ExecInput(execution)
            try:
                await _carry(socket, entry, exec_output(execution), lambda: self._exec_end(execution))
            except asyncio.CancelledError:
                await _say_last(socket, Broken(message=RESTARTING))
        finally:
            if task:
                self._running.discard(task)
            await self._calls.end_execution(execution)
        return socket

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        """One connection to a port inside; it ends when both sides have, or either breaks."""
        id_, port = request.match_info["id"], request.match_info["port"]
        if not port.isdigit() or not 0 < int(port) < 65536:
            raise Refused(400, "invalid", f"{port} is no port.")
        self._spec(id_)
        self._require_running(id_)
        try:
            inner = await self._calls.dial(id_, int(port))
        except EngineError as error:
            raise Refused(422, "not_listening", str(error)) from error
        task: asyncio.Task[object] | None = asyncio.current_task()
        if task:
            self._running.add(task)
        try:
            with inner:
                socket = await _upgrade(request)
                with suppress(asyncio.CancelledError):
                    await carry_connection(socket, inner)
        finally:
            if task:
                self._running.discard(task)
        return socket

    async def _exec_end(self, execution: Execution) -> Ended | Broken:
        return Ended(code=await self._calls.wait_execution(execution, EXIT_SECONDS))

    def _spec(self, id_: str) -> ContainerSpec:
        if id_ in self._host.jobs:
            return self._host.jobs[id_].spec.container
        if id_ in self._host.instances:
            return self._host.instances[id_].spec.container
        raise Refused(404, "not_found", f"There is no container {id_} on this host.")

    def _require_running(self, id_: str) -> None:
        job, instance = self._host.jobs.get(id_), self._host.instances.get(id_)
        ended = job.ended.is_set() if job else instance is None or instance.status.state not in RUNNING
        if ended:
            raise Refused(409, "not_running", "It does not run at the moment.")

    async def _exists(self, id_: str) -> None:
        """Wait until a job has a container; an instance must have one."""
        job = self._host.jobs.get(id_)
        if job is None:
            return self._require_running(id_)
        await _first((job.created.wait(), job.ended.wait()), CREATE_SECONDS)
        if not job.created.is_set() or job.ended.is_set():
            raise Refused(409, "not_running", job.status.message or "It has ended.")
        return None

    async def _verdict(self, id_: str, client: Client) -> Ended | Broken:
        """What to tell a client whose output has ended."""
        if client.problem:
            return Broken(message=client.problem)
        exit = await self._exit(id_)
        return Ended(code=exit.code, message=exit.message) if exit else Ended()

    async def _exit(self, id_: str) -> ExitInfo | None:
        job = self._host.jobs.get(id_)
        if isinstance(job, Job):
            with suppress(TimeoutError):
                await asyncio.wait_for(job.ended.wait(), EXIT_SECONDS)
            return job.status.exit
        deadline = asyncio.get_running_loop().time() + EXIT_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            instance = self._host.instances.get(id_)
            if instance is None or instance.status.state not in RUNNING:
                return instance.status.last_exit if instance else None
            await asyncio.sleep(0.05)
        return None


class ContainerInput:
    """A client's messages, for a container's main process."""

    def __init__(self, calls: EngineCalls, session: Session) -> None:
        self._calls, self._session = calls, session

    async def write(self, data: bytes) -> None:
        await self._session.write(data)

    async def end_input(self) -> None:
        await self._session.end_input()

    async def resize(self, rows: int, columns: int) -> None:
        if self._session.spec.tty:
            await self._calls.resize(self._session.spec.id, rows, columns)

    async def signal(self, number: int) -> None:
        await self._calls.kill(self._session.spec.id, number)


async def _upgrade(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=LARGEST_MESSAGE, compress=False)
    await socket.prepare(request)
    return socket


async def _carry(
    socket: web.WebSocketResponse,
    entry: Input,
    output: AsyncIterator[bytes],
    verdict: Callable[[], Awaitable[Ended | Broken]],
) -> None:
    """Carry a session until the process has ended, whose last words are `verdict`, or its client has left."""
    incoming = asyncio.ensure_future(_take(socket, entry))
    outgoing = asyncio.ensure_future(_give(socket, output))
    try:
        await asyncio.wait({incoming, outgoing}, return_when=asyncio.FIRST_COMPLETED)
        if outgoing.done() and outgoing.result():
            await _say_last(socket, await verdict())
    finally:
        for task in (incoming, outgoing):
            task.cancel()
        await asyncio.gather(incoming, outgoing, return_exceptions=True)


async def _give(socket: web.WebSocketResponse, output: AsyncIterator[bytes]) -> bool:
    """Send everything. False when the client has gone."""
    try:
        async for frame in output:
            await socket.send_bytes(frame)
    except (ConnectionError, RuntimeError):  # aiohttp raises the latter on a closing socket
        return False
    return True


async def _take(socket: web.WebSocketResponse, entry: Input) -> None:
    async for message in socket:
        if message.type is WSMsgType.BINARY and message.data[:1] == bytes([STDIN]):
            await entry.write(message.data[1:])
        elif message.type is WSMsgType.TEXT:
            await _obey(message.data, entry)


async def _obey(text: str, entry: Input) -> None:
    try:
        value: Control = decode(text.encode(), Control)  # type: ignore[arg-type]
    except ValueError as error:
        return log.info("a client sent a control that is none: %s", error)
    if isinstance(value, Resize):
        await entry.resize(min(max(value.rows, 1), LARGEST_SIZE), min(max(value.columns, 1), LARGEST_SIZE))
    elif isinstance(value, InputEnd):
        await entry.end_input()
    elif isinstance(value, SendSignal) and value.number in set(signal.Signals):
        await entry.signal(value.number)
    return None


async def _say_last(socket: web.WebSocketResponse, words: Ended | Broken) -> None:
    with suppress(ConnectionError, RuntimeError):
        await socket.send_str(encode(words).decode())
        await asyncio.wait_for(socket.close(), 5)


async def _first(waits: tuple[Awaitable[object], ...], seconds: float) -> None:
    tasks = [asyncio.ensure_future(one) for one in waits]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
