"""What routers send: reports and access lines."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from paas.controller.internal.machines import answer, body, machine, own
from paas.controller.models import Router, RouteVersion
from paas.controller.redis_connection import RedisError
from paas.controller.selectors.routes import route_table
from paas.controller.services.logs import PLATFORM, Line, write
from paas.controller.services.reports import take_router_report
from paas.errors import Unavailable
from paas.router.table import AccessBatch, RouterReply, RouterReport, decode, encode


@machine
def report(request: HttpRequest, router: str) -> HttpResponse:
    """Take a RouterReport; answer with the table when the router's is older."""
    row = own(request, Router, router)
    taken = body(request, decode, RouterReport)
    take_router_report(row, taken)
    newest, _ = RouteVersion.objects.get_or_create(id=1)
    behind = taken.version < newest.version
    return answer(encode(RouterReply(table=route_table() if behind else None)))


@machine
def access(request: HttpRequest, router: str) -> HttpResponse:
    """Take an AccessBatch into the logs of the apps it names. 503 when Redis is away: the router sends it again."""
    own(request, Router, router)
    batch = body(request, decode, AccessBatch)
    lines = [
        Line(app=line.app, source=PLATFORM, dyno="router", text=line.text, at=line.at) for line in batch.lines
    ]
    try:
        write(lines)
    except RedisError as error:
        raise Unavailable("Access lines cannot be stored at the moment; send them again.") from error
    return answer(b"{}", status=202)
