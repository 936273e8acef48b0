"""What host agents send: reports and log lines."""

from __future__ import annotations

import logging

from django.http import HttpRequest, HttpResponse

from paas.controller.internal.machines import answer, body, machine, own
from paas.controller.models import Host
from paas.controller.redis_connection import RedisError
from paas.controller.selectors.placements import apps_placed_on
from paas.controller.selectors.wanted import wanted_state
from paas.controller.services.logs import PLATFORM, Line, write
from paas.controller.services.reports import take_host_report
from paas.errors import Unavailable
from runtime import shapes
from runtime.model import HostReport, LogBatch, ReportReply, Stream, decode, encode

logger = logging.getLogger(__name__)


@machine
def report(request: HttpRequest, host: str) -> HttpResponse:
    """Take a HostReport; answer with the wanted state when the host's is older."""
    row = own(request, Host, host)
    taken = body(request, decode, HostReport)
    take_host_report(row, taken)
    row.refresh_from_db()
    behind = taken.generation < row.generation
    return answer(encode(ReportReply(wanted=wanted_state(row.id) if behind else None)))


@machine
def logs(request: HttpRequest, host: str) -> HttpResponse:
    """Take a list of LogBatch. 503 when Redis is away: the agent keeps the lines and sends them again.

    Lines of apps that the host never had are left out: a host speaks for what was placed on it.
    """
    row = own(request, Host, host)
    batches = body(request, shapes.decode, list[LogBatch])
    apps = apps_placed_on(row, {batch.owner for batch in batches})
    lines = [line for batch in batches if batch.owner in apps for line in _lines(batch)]
    if foreign := sorted({batch.owner for batch in batches} - apps):
        logger.warning("Host %s sent lines of apps that it never had; left out: %s", row.name, foreign[:5])
    try:
        write(lines)
    except RedisError as error:
        raise Unavailable("Logs cannot be stored at the moment; send them again.") from error
    return answer(b"{}", status=202)


def _lines(batch: LogBatch) -> list[Line]:
    """Where lines were lost, one of the agent's own says so (L10): `batch.lost` only counts them."""
    return [
        Line(
            app=batch.owner,
            source=PLATFORM if line.stream is Stream.SYSTEM else "app",
            dyno=batch.name,
            text=line.text,
            at=line.at,
        )
        for line in batch.lines
    ]
