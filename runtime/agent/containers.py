"""One container through the API: looking into it, changing its limits, stopping and starting it by hand.

In: requests about an id.  Out: an `Inspection`, or a sentence why not. What has ended is known for a while longer.
"""

from __future__ import annotations

import re
import time
from typing import TypeVar

import msgspec
from aiohttp import web

from runtime.agent.calls import EngineCalls
from runtime.agent.host import Host
from runtime.agent.instance import Instance
from runtime.agent.job import Job
from runtime.agent.lifecycle import RUNNING
from runtime.agent.remains import Ended, config_of, shown_health
from runtime.agent.streams import Refused
from runtime.container.port import EngineError
from runtime.model import (
    HeldImage,
    HeldImages,
    Inspection,
    InstanceSpec,
    JobState,
    LimitsChange,
    SignalRequest,
    Struct,
    decode,
    encode,
)

T = TypeVar("T", bound=Struct)
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class Containers:
    """The handlers."""

    def __init__(self, host: Host, calls: EngineCalls, ended: Ended) -> None:
        self._host, self._calls, self._ended = host, calls, ended

    def routes(self) -> list[web.RouteDef]:
        place = "/v1/containers/{id}"
        return [
            web.get(place, self._inspect),
            web.patch(f"{place}/limits", self._change_limits),
            web.post(f"{place}/signal", self._signal),
            web.post(f"{place}/stop", self._stop),
            web.post(f"{place}/start", self._start),
            web.post(f"{place}/restart", self._restart),
            web.put("/v1/instances/{id}", self._put_instance),
            web.delete("/v1/instances/{id}", self._delete_instance),
            web.get("/v1/images", self._images),
        ]

    async def _inspect(self, request: web.Request) -> web.Response:
        return _json(await self._look(request.match_info["id"]))

    async def _look(self, id_: str) -> Inspection:
        now = time.time()
        instance, job = self._host.instances.get(id_), self._host.jobs.get(id_)
        runs = self._ended.runs(id_, now)
        if instance is not None and instance.spec.container.argv:
            usage = await self._calls.usage(id_) if instance.status.state in RUNNING else None
            found = inspect_instance(instance, self._host)
            return _with(found, runs=runs, usage=usage)
        if job is not None:
            usage = await self._calls.usage(id_) if job.status.state is JobState.RUNNING else None
            return _with(inspect_job(job), runs=runs, usage=usage)
        held = self._host.held_spec(id_)
        if held is not None:
            return _with(inspect_held(held), runs=runs, local=id_ in self._host.local.ids())
        gone = self._ended.find(id_, now)
        if gone is None:
            raise Refused(
                404, "not_found", f"There is no container {id_} on this host, nor what is left of one."
            )
        return gone

    async def _change_limits(self, request: web.Request) -> web.Response:
        id_, change = request.match_info["id"], await _body(request, LimitsChange)
        if id_ in self._host.jobs:
            await self._change_job(self._host.jobs[id_], change)
        elif not await self._host.change_limits(id_, change):
            raise _unknown(id_)
        found = await self._look(id_)
        if found.limits_problem:
            raise Refused(409, "does_not_fit", found.limits_problem)
        return _json(found)

    async def _change_job(self, job: Job, change: LimitsChange) -> None:
        if job.status.state is not JobState.RUNNING:
            raise Refused(409, "not_running", "It does not run at the moment.")
        try:
            await job.change_limits(change)
        except EngineError as error:
            raise Refused(409, "does_not_fit", str(error)) from error

    async def _signal(self, request: web.Request) -> web.Response:
        id_, wish = request.match_info["id"], await _body(request, SignalRequest)
        if id_ not in self._host.instances and id_ not in self._host.jobs:
            raise _unknown(id_)
        await self._calls.kill(id_, wish.number)
        return _json(await self._look(id_))

    async def _stop(self, request: web.Request) -> web.Response:
        """An instance stays stopped until it is started by hand; a job is cancelled."""
        id_ = request.match_info["id"]
        if id_ in self._host.jobs:
            self._host.jobs[id_].cancel()
        elif not await self._host.hold(id_, held=True):
            raise _unknown(id_)
        return _json(await self._look(id_), 202)

    async def _start(self, request: web.Request) -> web.Response:
        id_ = request.match_info["id"]
        if not await self._host.hold(id_, held=False):
            raise _unknown(id_)
        return _json(await self._look(id_), 202)

    async def _restart(self, request: web.Request) -> web.Response:
        id_ = request.match_info["id"]
        if not self._host.restart(id_):
            raise _unknown(id_)
        return _json(await self._look(id_), 202)

    async def _put_instance(self, request: web.Request) -> web.Response:
        spec = await _body(request, InstanceSpec)
        id_ = request.match_info["id"]
        if spec.container.id != id_ or not ID.fullmatch(id_):
            raise Refused(
                400, "invalid", f"The body is about {spec.container.id!r}; ids have 1 to 63 letters."
            )
        if id_ in self._host.jobs:
            raise Refused(409, "conflict", f"There is a job {id_} on this host.")
        await self._host.put_local(spec)
        return _json(await self._look(id_), 201)

    async def _delete_instance(self, request: web.Request) -> web.Response:
        id_ = request.match_info["id"]
        if not await self._host.remove_local(id_):
            raise Refused(404, "not_found", f"No instance {id_} was started by hand on this host.")
        return web.Response(status=204)

    async def _images(self, request: web.Request) -> web.Response:
        stored = await self._calls.stored_images()
        images = tuple(
            HeldImage(digest=one.digest, size=one.size, used_at=one.used_at, in_use=one.in_use)
            for one in stored
        )
        return _json(HeldImages(images=images))


def inspect_instance(instance: Instance, host: Host) -> Inspection:
    status, spec = instance.status, instance.spec.container
    return Inspection(
        id=spec.id,
        owner=spec.owner,
        name=spec.name,
        kind="instance",
        state=status.state,
        since=status.since,
        address=status.address,
        port=status.port,
        restarts=status.restarts,
        restart_at=status.restart_at,
        started_at=status.started_at,
        limits=status.limits,
        limits_problem=status.limits_problem,
        health_problem=status.health_problem,
        config=config_of(spec),
        health=shown_health(instance.spec.health),
        local=spec.id in host.local.ids(),
        held=spec.id in host.local.held,
    )


def inspect_held(spec: InstanceSpec) -> Inspection:
    one = spec.container
    return Inspection(
        id=one.id,
        owner=one.owner,
        name=one.name,
        kind="instance",
        state="stopped",
        since=0.0,
        config=config_of(one),
        health=shown_health(spec.health),
        held=True,
    )


def inspect_job(job: Job) -> Inspection:
    spec, status = job.spec.container, job.status
    return Inspection(
        id=spec.id,
        owner=spec.owner,
        name=spec.name,
        kind="job",
        state=status.state,
        since=status.since,
        started_at=job.record.started_at,
        limits=spec.limits,
        config=config_of(spec),
    )


def _with(found: Inspection, **more: object) -> Inspection:
    return msgspec.structs.replace(found, **more)


def _unknown(id_: str) -> Refused:
    return Refused(404, "not_found", f"There is no container {id_} on this host.")


def _json(value: Struct, status: int = 200) -> web.Response:
    return web.Response(body=encode(value), status=status, content_type="application/json")


async def _body(request: web.Request, type_: type[T]) -> T:
    try:
        return decode(await request.read(), type_)
    except ValueError as error:
        raise Refused(400, "invalid", f"The body is not a valid {type_.__name__}: {error}.") from error
