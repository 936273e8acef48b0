"""The router's control API. In: requests of the controller. Out: reports, after HAProxy has done it."""

from __future__ import annotations

import hmac
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from paas.router.config import Settings
from paas.router.table import ErrorBody, RouterReport, RouteTable, Struct, decode, encode
from runtime.tls import CONTROLLER, identity_of, router_identity

APPLY_WITHIN = 15.0
LARGEST_TABLE = 64 * 1024**2


class Router(Protocol):
    """What the API needs of the router."""

    def accept(self, table: RouteTable) -> bool: ...
    async def applied(self, table: RouteTable, timeout: float) -> bool: ...
    def report(self) -> RouterReport: ...
    def metrics(self) -> str: ...
    def problem(self) -> str: ...
    async def stop(self) -> None: ...


def make_app(router: Router, settings: Settings) -> web.Application:
    """Return the application. `/v1/health` is open; everything else is for the controller, and for this router's own
    key (`python -m paas.router stop`). A router without certificates wants its token instead."""
    check = _check_identity(settings.id) if settings.credentials else _check_token(settings.token)
    app = web.Application(middlewares=[check], client_max_size=LARGEST_TABLE)

    async def put_table(request: web.Request) -> web.StreamResponse:
        try:
            table = decode(await request.read(), RouteTable)
            router.accept(table)
        except ValueError as error:
            return _error(400, "invalid_table", f"the table cannot be used: {error}")
        if not await router.applied(table, APPLY_WITHIN):
            return _error(
                503,
                "not_applied",
                f"HAProxy does not serve the table yet: {router.problem() or 'it takes long'}",
            )
        return _json(router.report())

    async def get_report(request: web.Request) -> web.StreamResponse:
        return _json(router.report())

    async def get_health(request: web.Request) -> web.StreamResponse:
        problem = router.problem()
        return _error(503, "unhealthy", problem) if problem else web.json_response({"status": "ok"})

    async def get_metrics(request: web.Request) -> web.StreamResponse:
        return web.Response(
            text=router.metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def post_stop(request: web.Request) -> web.StreamResponse:
        await router.stop()
        return _json(router.report())

    app.router.add_put("/v1/table", put_table)
    app.router.add_get("/v1/report", get_report)
    app.router.add_get("/v1/health", get_health)
    app.router.add_get("/metrics", get_metrics)
    app.router.add_post("/v1/stop", post_stop)
    return app


def _check_identity(router_id: str) -> Middleware:
    allowed = {CONTROLLER, router_identity(router_id)}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        transport = request.transport
        who = identity_of(transport.get_extra_info("peercert") if transport else None)
        if request.path != "/v1/health" and who not in allowed:
            words = f"this router takes tables from the controller of its platform only, not from {who or 'anybody'}"
            return _error(403, "not_the_controller", words)
        return await handler(request)

    return check


def _check_token(token: str) -> Middleware:
    wanted = f"Bearer {token}".encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode()
        if request.path != "/v1/health" and not hmac.compare_digest(given, wanted):
            return _error(401, "unauthorized", "send the router's token as `Authorization: Bearer TOKEN`")
        return await handler(request)

    return check


def _json(value: Struct, status: int = 200) -> web.Response:
    return web.Response(body=encode(value), status=status, content_type="application/json")


def _error(status: int, id_: str, message: str) -> web.Response:
    return _json(ErrorBody(id=id_, message=message), status)
