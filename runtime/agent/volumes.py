"""Volumes over the agent's API.

In: requests about volumes and their snapshots.  Out: values of `runtime.model`; every change is an event.
What takes long (copies, backups) has threads of its own, so that it delays no container.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

import msgspec
from aiohttp import web

from runtime.agent.events import Events
from runtime.agent.host import Host
from runtime.agent.streams import Refused
from runtime.model import (
    EventKind,
    InstanceState,
    SnapshotList,
    Struct,
    VolumeChange,
    VolumeList,
    VolumeSpec,
    VolumeStatus,
    decode,
    encode,
)
from runtime.volumes.errors import VolumeError
from runtime.volumes.port import Sink, VolumeKeeper

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound=Struct)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_THREADS = 4
_SNAPSHOT = "Give the snapshot a name: 1-63 letters, digits, '.', '_' or '-'."


class VolumeRoutes:
    """The handlers."""

    def __init__(self, host: Host, keeper: VolumeKeeper, events: Events) -> None:
        self._host, self._keeper, self._events = host, keeper, events
        self._threads = ThreadPoolExecutor(_THREADS, "volumes")

    def routes(self) -> list[web.RouteDef]:
        one, snapshots = "/v1/volumes/{id}", "/v1/volumes/{id}/snapshots"
        return [
            web.get("/v1/volumes", self._list),
            web.put(one, _told(self._create)),
            web.get(one, _told(self._inspect)),
            web.delete(one, _told(self._remove)),
            web.post(f"{one}/grow", _told(self._grow)),
            web.post(f"{one}/retain", _told(self._retain)),
            web.post(f"{one}/give", _told(self._give)),
            web.post(f"{one}/restore", _told(self._restore)),
            web.get(snapshots, _told(self._snapshots)),
            web.post(snapshots, _told(self._snapshot)),
            web.delete(f"{snapshots}/{{name}}", _told(self._remove_snapshot)),
            web.get(f"{one}/content", _told(self._export)),
            web.put(f"{one}/content", _told(self._import)),
        ]

    async def close(self, _: web.Application | None = None) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _list(self, request: web.Request) -> web.Response:
        living = (
            one for one in self._host.instances.values() if one.status.state is not InstanceState.STOPPED
        )
        owners = {one.spec.container.owner for one in living}
        owners |= {job.spec.container.owner for job in self._host.jobs.values() if not job.ended.is_set()}
        found = await self._call(self._keeper.list)
        volumes = tuple(
            msgspec.structs.replace(one, orphan=not one.holders and one.owner not in owners) for one in found
        )
        return _json(VolumeList(volumes=volumes))

    async def _create(self, request: web.Request) -> web.Response:
        spec = await _body(request, VolumeSpec)
        if spec.id != request.match_info["id"]:
            raise Refused(400, "invalid", f"The body is about volume {spec.id}, the URL is not.")
        made = await self._call(self._keeper.create, spec)
        return self._changed(made, f"made, from {spec.source}" if spec.source else "made", 201)

    async def _inspect(self, request: web.Request) -> web.Response:
        return _json(await self._call(self._keeper.inspect, request.match_info["id"]))

    async def _remove(self, request: web.Request) -> web.Response:
        known = await self._call(self._keeper.inspect, request.match_info["id"])
        await self._call(self._keeper.remove, known.id)
        return self._changed(known, "removed with its data and snapshots")

    async def _grow(self, request: web.Request) -> web.Response:
        change = await _body(request, VolumeChange)
        grown = await self._call(self._keeper.grow, request.match_info["id"], change.size_bytes)
        return self._changed(grown, f"grown to {grown.size_bytes} bytes")

    async def _retain(self, request: web.Request) -> web.Response:
        kept = await self._call(self._keeper.retain, request.match_info["id"])
        return self._changed(kept, "retained; it belongs to nobody until it is given to an owner")

    async def _give(self, request: web.Request) -> web.Response:
        change = await _body(request, VolumeChange)
        given = await self._call(self._keeper.give, request.match_info["id"], change.owner, change.name)
        return self._changed(given, "attached to its owner")

    async def _restore(self, request: web.Request) -> web.Response:
        change = await _body(request, VolumeChange)
        restored = await self._call(self._keeper.restore, request.match_info["id"], change.snapshot)
        return self._changed(restored, f"put back to snapshot {change.snapshot}")

    async def _snapshots(self, request: web.Request) -> web.Response:
        found = await self._call(self._keeper.snapshots, request.match_info["id"])
        return _json(SnapshotList(snapshots=found))

    async def _snapshot(self, request: web.Request) -> web.Response:
        change, volume = await _body(request, VolumeChange), request.match_info["id"]
        if not change.snapshot:
            raise Refused(400, "invalid", _SNAPSHOT)
        taken = await self._call(self._keeper.snapshot, volume, change.snapshot)
        self._changed(await self._call(self._keeper.inspect, volume), f"snapshot {taken.name} taken")
        return _json(taken, 201)

    async def _remove_snapshot(self, request: web.Request) -> web.Response:
        volume, name = request.match_info["id"], request.match_info["name"]
        await self._call(self._keeper.remove_snapshot, volume, name)
        return self._changed(await self._call(self._keeper.inspect, volume), f"snapshot {name} removed")

    async def _export(self, request: web.Request) -> web.StreamResponse:
        pieces = self._keeper.export(request.match_info["id"], request.query.get("snapshot", ""))
        try:
            first = await self._call(next, pieces, b"")
            response = web.StreamResponse(headers={"Content-Type": "application/gzip"})
            await response.prepare(request)
            piece = first
            while piece:
                await response.write(piece)
                piece = await self._call(next, pieces, b"")
            await response.write_eof()
        finally:
            await self._call(pieces.close)  # type: ignore[attr-defined]
        return response

    async def _import(self, request: web.Request) -> web.Response:
        owner, name = request.query.get("owner", ""), request.query.get("name", "")
        sink: Sink = await self._call(self._keeper.receive, request.match_info["id"], owner, name)
        try:
            async for piece, _ in request.content.iter_chunks():
                await self._call(sink.write, piece)
            made = await self._call(sink.finish)
        finally:
            await self._call(sink.drop)
        return self._changed(made, "made from a backup", 201)

    def _changed(self, volume: VolumeStatus, what: str, status: int = 200) -> web.Response:
        self._events.add(
            EventKind.VOLUME, owner=volume.owner, message=f"volume {volume.name} ({volume.id}): {what}"
        )
        return _json(volume, status)

    async def _call(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        run = partial(call, *args, **kwargs)
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._threads, run))


def _told(handler: Handler) -> Handler:
    """A failure of a volume becomes an answer."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", request.match_info["id"]):
            raise Refused(400, "invalid", "A volume id is 1-63 letters, digits, '.', '_' or '-'.")
        try:
            return await handler(request)
        except VolumeError as error:
            raise Refused(error.status, error.id, str(error)) from error

    return handle


async def _body(request: web.Request, type_: type[S]) -> S:
    try:
        return decode(await request.read(), type_)
    except (msgspec.DecodeError, ValueError) as error:
        raise Refused(400, "invalid", f"The body is not a valid {type_.__name__}: {error}.") from error


def _json(value: Struct, status: int = 200) -> web.Response:
    return web.Response(body=encode(value), status=status, content_type="application/json")
