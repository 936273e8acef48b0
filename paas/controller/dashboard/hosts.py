"""The machines, for admins: hosts with what they can hold and hold, routers with the table they serve.

In: rows that agents and routers keep current.  Out: one page.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone

from paas.controller.dashboard.doors import Request, by_htmx, of_admin
from paas.controller.models import Host, Instance, Router, RouteVersion
from paas.controller.selectors.formation import DEFAULT_SIZE, SIZES

SILENT = timedelta(seconds=30)  # agents and routers report every few seconds


@dataclass(frozen=True)
class HostRow:
    """`promised` is the memory of the instances on it; agents enforce it as their limit."""

    name: str
    state: str
    tone: str
    cordoned: bool
    seen_at: datetime | None
    memory_bytes: int
    promised_bytes: int
    cpus: int
    instances: int
    up: int
    behind: bool


@dataclass(frozen=True)
class RouterRow:
    name: str
    state: str
    tone: str
    seen_at: datetime | None
    applied: int
    behind: int


@of_admin("GET")
def page(request: Request) -> HttpResponse:
    now = timezone.now()
    version = RouteVersion.objects.values_list("version", flat=True).first() or 0
    context = {
        "hosts": host_rows(now),
        "routers": [_router_row(router, version, now) for router in Router.objects.order_by("name")],
        "nav": "hosts",
    }
    template = "dashboard/partials/hosts.html" if by_htmx(request) else "dashboard/hosts.html"
    return render(request, template, context)


def _presence(seen_at: datetime | None, now: datetime) -> tuple[str, str]:
    if seen_at is None:
        return "never seen", "quiet"
    return ("reporting", "good") if now - seen_at < SILENT else ("silent", "bad")


def host_rows(now: datetime) -> list[HostRow]:
    states: dict[UUID, list[tuple[str, int]]] = defaultdict(list)
    placed = Instance.objects.exclude(wanted=Instance.Wanted.STOP)
    for host_id, state, type_, formation in placed.values_list(
        "host_id", "state", "process_type", "release__formation"
    ):
        states[host_id].append((state, _memory(formation.get(type_, {}).get("size", DEFAULT_SIZE))))
    return [_host_row(host, states[host.id], now) for host in Host.objects.order_by("name")]


def _memory(size: str) -> int:
    return SIZES.get(size, SIZES[DEFAULT_SIZE]).memory_bytes


def _host_row(host: Host, placed: list[tuple[str, int]], now: datetime) -> HostRow:
    state, tone = _presence(host.seen_at, now)
    return HostRow(
        name=host.name,
        state=state,
        tone=tone,
        cordoned=host.cordoned,
        seen_at=host.seen_at,
        memory_bytes=host.memory_bytes,
        promised_bytes=sum(memory for _, memory in placed),
        cpus=host.cpus,
        instances=len(placed),
        up=sum(one == "up" for one, _ in placed),
        behind=host.reported < host.generation,
    )


def _router_row(router: Router, version: int, now: datetime) -> RouterRow:
    state, tone = _presence(router.seen_at, now)
    return RouterRow(
        router.name, state, tone, router.seen_at, router.applied, max(version - router.applied, 0)
    )
