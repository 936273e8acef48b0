"""The agent's HTTP API.

In: requests of the controller, which `Guard` lets in.  Out: JSON of `runtime.model`; errors are an `ErrorBody`.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import msgspec
from aiohttp import web

from runtime.agent.calls import EngineCalls
from runtime.agent.containers import Containers
from runtime.agent.events import Events
from runtime.agent.guard import Guard, NotAllowed
from runtime.agent.host import Host, OlderGeneration
from runtime.agent.janitor import Janitor
from runtime.agent.metrics import ContainerUsage, render, render_host, render_refused
from runtime.agent.refusals import Refusals
from runtime.agent.streams import Refused, Streams
from runtime.agent.volumes import VolumeRoutes
from runtime.container.port import EngineError
from runtime.logs.hub import LogHub
from runtime.model import ErrorBody, JobSpec, JobStatus, Struct, WantedState, decode, encode

T = TypeVar("T", bound=Struct)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = logging.getLogger(__name__)
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
MAX_BODY = 32 * 1024**2
MAX_WAIT = 60.0


class StopRequest(Struct):
    """`remove`: also stop every container and leave nothing on the host; else only the agent ends."""

    remove: bool = False


class Api:
    """The handlers. `on_stop` ends the process."""

    def __init__(
        self,
        host: Host,
        calls: EngineCalls,
        logs: LogHub,
        events: Events,
        janitor: Janitor,
        refusals: Refusals,
        subjects: tuple[Streams, Containers, VolumeRoutes],
        guard: Guard,
        on_stop: Callable[[bool], None],
    ) -> None:
        self._host = host
        self._events = events
        self._janitor = janitor
        self._refusals = refusals
        self._streams, self._containers, self._volumes = subjects
        self._calls = calls
        self._logs = logs
        self._guard = guard
        self._on_stop = on_stop

    def application(self) -> web.Application:
        app = web.Application(middlewares=[_errors, self._authorised], client_max_size=MAX_BODY)
        app.add_routes(
            [
                web.get("/v1/health", self._health),
                web.put("/v1/wanted", self._put_wanted),
                web.get("/v1/report", self._report),
                web.put("/v1/jobs/{id}", self._put_job),
                web.get("/v1/jobs/{id}", self._get_job),
                web.delete("/v1/jobs/{id}", self._delete_job),
                web.get("/v1/containers/{id}/logs", self._get_logs),
                web.get("/v1/containers/{id}/usage", self._get_usage),
                web.get("/v1/events", self._get_events),
                web.post("/v1/prune", self._prune),
                web.delete("/v1/caches/{owner}", self._drop_caches),
                web.get("/v1/doctor", self._doctor),
                web.post("/v1/doctor", self._doctor),
                web.post("/v1/stop", self._stop),
                web.get("/metrics", self._metrics),
            ]
        )
        app.add_routes([*self._streams.routes(), *self._containers.routes(), *self._volumes.routes()])
        app.on_shutdown.extend((self._streams.close, self._volumes.close))
        return app

    @web.middleware
    async def _authorised(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self._guard.check(request)
        except NotAllowed as error:
            raise _error(error.status, error.id, str(error)) from error
        return await handler(request)

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "generation": self._host.wanted.generation})

    async def _put_wanted(self, request: web.Request) -> web.Response:
        wanted = await _body(request, WantedState)
        for spec in wanted.instances:
            _check_id(spec.container.id)
        if len({spec.container.id for spec in wanted.instances}) != len(wanted.instances):
            raise _error(400, "invalid", "Two instances have the same id.")
        try:
            await self._host.apply_wanted(wanted)
        except OlderGeneration as error:
            raise _error(409, "older_generation", str(error)) from error
        return _json(self._host.report())

    async def _report(self, request: web.Request) -> web.Response:
        return _json(self._host.report())

    async def _put_job(self, request: web.Request) -> web.Response:
        spec = await _body(request, JobSpec)
        _check_id(spec.container.id)
        if spec.container.id != request.match_info["id"]:
            raise _error(400, "invalid", f"The body is about job {spec.container.id}, the URL is not.")
        status, new = await self._host.put_job(spec)
        return _json(status, 201 if new else 200)

    async def _get_job(self, request: web.Request) -> web.Response:
        id_ = request.match_info["id"]
        status = self._job_status(id_)
        seconds = min(_number(request, "wait"), MAX_WAIT)
        if seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._host.jobs[id_].ended.wait(), seconds)
            status = self._job_status(id_)
        return _json(status)

    async def _delete_job(self, request: web.Request) -> web.Response:
        id_ = request.match_info["id"]
        status = self._job_status(id_)
        job = self._host.jobs[id_]
        if not job.ended.is_set():
            job.cancel()
            return _json(status, 202)
        self._host.forget_job(id_)
        return _json(status)

    def _job_status(self, id_: str) -> JobStatus:
        if id_ not in self._host.jobs:
            raise _error(
                404, "not_found", f"There is no job {id_} on this host (it may have been forgotten)."
            )
        return self._host.jobs[id_].status

    async def _get_logs(self, request: web.Request) -> web.StreamResponse:
        id_ = request.match_info["id"]
        if id_ not in self._logs.sources:
            raise _error(404, "not_found", f"There is no container {id_} on this host.")
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        follow = request.query.get("follow", "") in ("1", "true")
        feed = self._logs.follow(id_, int(_number(request, "cursor")), follow=follow)
        await response.prepare(request)
        try:
            async for lines in feed:
                # An empty line is a sign of life: the reader knows a quiet container from a dead agent.
                await response.write(b"".join(encode(line) + b"\n" for line in lines) or b"\n")
            await response.write_eof()
        except ConnectionError:
            log.debug("a reader of %s went away", id_)
        finally:
            await feed.aclose()
        return response

    async def _get_usage(self, request: web.Request) -> web.Response:
        id_ = request.match_info["id"]
        usage = await self._calls.usage(id_) if ID.fullmatch(id_) else None
        if usage is None:
            raise _error(404, "not_found", f"Container {id_} does not run on this host.")
        return _json(usage)

    async def _get_events(self, request: web.Request) -> web.Response:
        since = int(_number(request, "since"))
        await self._events.wait(since, min(_number(request, "wait"), MAX_WAIT))
        return _json(self._events.after(since))

    async def _prune(self, request: web.Request) -> web.Response:
        return _json(await self._janitor.prune())

    async def _drop_caches(self, request: web.Request) -> web.Response:
        keep = frozenset(request.query.getall("keep", []))
        return _json(await self._janitor.drop_caches(request.match_info["owner"], keep))

    async def _doctor(self, request: web.Request) -> web.Response:
        """GET looks, POST repairs too."""
        return _json(await self._janitor.examine(repair=request.method == "POST"))

    async def _stop(self, request: web.Request) -> web.Response:
        stop = await _body(request, StopRequest)
        if stop.remove:
            await self._host.stop_all()
        self._on_stop(stop.remove)
        return _json(self._host.report())

    async def _metrics(self, request: web.Request) -> web.Response:
        usages = []
        for found in await self._calls.list():
            usage = await self._calls.usage(found.id) if found.running else None
            if usage:
                usages.append(ContainerUsage(found.id, found.owner, found.name, usage))
        instances = (instance.status.state for instance in self._host.instances.values())
        jobs = (job.status.state for job in self._host.jobs.values())
        text = render(instances, jobs, usages) + render_host(self._janitor.numbers, self._events.last)
        text += render_refused(self._refusals.totals)
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


class ApiError(Exception):
    """Raised by any handler, rendered once by `_errors`."""

    def __init__(self, status: int, body: ErrorBody) -> None:
        super().__init__(body.message)
        self.status = status
        self.body = body


def _error(status: int, id_: str, message: str) -> ApiError:
    return ApiError(status, ErrorBody(id=id_, message=message))


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return _json(error.body, error.status)
    except Refused as error:
        return _json(ErrorBody(id=error.id, message=str(error)), error.status)
    except EngineError as error:
        return _json(ErrorBody(id="engine", message=str(error)), 500)
    except web.HTTPException as error:
        id_ = "too_large" if error.status == 413 else "http"
        return _json(
            ErrorBody(id=id_, message=f"{error.reason}: {request.method} {request.path}"), error.status
        )
    except OSError as error:
        log.exception("%s %s", request.method, request.path)
        return _json(ErrorBody(id="storage", message=f"The agent's disk said: {error.strerror}"), 500)


def _json(value: Struct, status: int = 200) -> web.Response:
    return web.Response(body=encode(value), status=status, content_type="application/json")


async def _body(request: web.Request, type_: type[T]) -> T:
    try:
        return decode(await request.read(), type_)
    except (msgspec.DecodeError, ValueError) as error:
        raise _error(400, "invalid", f"The body is not a valid {type_.__name__}: {error}.") from error


def _check_id(id_: str) -> None:
    if not ID.fullmatch(id_):
        raise _error(400, "invalid", f"'{id_}' is not an id: 1 to 64 letters, digits, '_', '.' or '-'.")


def _number(request: web.Request, name: str) -> float:
    text = request.query.get(name, "0")
    if not re.fullmatch(r"\d{1,18}(\.\d{1,6})?", text):
        raise _error(400, "invalid", f"{name} must be a number, not '{text}'.")
    return float(text)
