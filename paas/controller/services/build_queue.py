"""The queue of builds: who may start one now, on which host, and what those are told who wait.

In: rows.  Out: a build claimed by one worker. `paas.scheduler.build_queue` decides; here the rows are read and written.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from paas.controller.models import Build, Host
from paas.controller.selectors.planning import HOST_QUIET
from paas.controller.services import build_output
from paas.controller.services.locking import lock_claims
from paas.scheduler.build_queue import Waiting, choose_host, fair_order, free_places

HEARTBEAT_LOST = timedelta(seconds=10)  # a worker writes one every second


def claim(build_id: UUID | str, worker: str) -> Build | None:
    """Take up a build that waits, or one whose worker died. None: it is taken or over, or others are before it."""
    now = timezone.now()
    with transaction.atomic():
        lock_claims()
        if str(build_id) not in _next(now):
            return None
        taken = Build.objects.filter(_unclaimed(now), id=build_id).update(
            status=Build.Status.BUILDING,
            claimed_by=worker,
            heartbeat_at=now,
            attempts=F("attempts") + 1,
            updated_at=now,
        )
        if not taken:
            return None
        Build.objects.filter(id=build_id, started_at__isnull=True).update(started_at=now)
        return Build.objects.select_related("app", "host", "user").get(id=build_id)


def assign_host(build: Build) -> Host | None:
    """Choose the host that builds, once: a worker that takes over continues on the same one."""
    if build.host is not None:
        return build.host
    with transaction.atomic():
        lock_claims()
        now = timezone.now()
        hosts = {host.id: host for host in _ready_hosts(now)}
        memory = {host.id: host.memory_bytes for host in hosts.values()}
        chosen = choose_host(settings.PAAS.build_concurrency, memory, _running(now))
        if chosen is None:
            return None
        Build.objects.filter(id=build.id).update(host=hosts[chosen])
        build.host = hosts[chosen]
    return build.host


def waiting_builds() -> list[str]:
    """Return the ids of builds that a worker can take up now, the next one first: as many as there are places."""
    return _next(timezone.now())


def tell_waiting() -> None:
    """Tell the pushers whose builds have no place yet how many come before theirs; again whenever that changes."""
    now = timezone.now()
    order = _order(now)
    for ahead, build_id in enumerate(order[_free(now) :] if order else []):
        place = f"{ahead} before this one" if ahead else "next in line"
        build_output.write_new(build_id, f"-----> Waiting for a free build slot ({place})")


def _next(now: datetime) -> list[str]:
    order = _order(now)
    return order[: _free(now)] if order else []


def _order(now: datetime) -> list[str]:
    """Every build without a worker, in the order in which they come up."""
    rows = Build.objects.filter(_unclaimed(now)).values_list("id", "app__owner_id", "created_at")
    waiting = [Waiting(str(id_), owner, since.timestamp()) for id_, owner, since in rows]
    return fair_order(waiting, _claimed(now).values_list("app__owner_id", flat=True)) if waiting else []


def _free(now: datetime) -> int:
    running = _running(now)
    unplaced = _claimed(now).filter(host__isnull=True).count()
    ready = [host.id for host in _ready_hosts(now)]
    return free_places(settings.PAAS.build_concurrency, ready, running, unplaced)


def _running(now: datetime) -> Counter[UUID]:
    """How many builds each host has. One whose worker died holds no place until somebody takes it up."""
    placed = _claimed(now).exclude(host__isnull=True).values_list("host_id", flat=True)
    return Counter(host for host in placed if host is not None)


def _ready_hosts(now: datetime) -> list[Host]:
    return list(Host.objects.filter(cordoned=False, seen_at__gte=now - HOST_QUIET))


def _claimed(now: datetime) -> QuerySet[Build]:
    return Build.objects.filter(status=Build.Status.BUILDING, heartbeat_at__gte=now - HEARTBEAT_LOST)


def _unclaimed(now: datetime) -> Q:
    silent = now - HEARTBEAT_LOST
    return Q(status=Build.Status.PENDING) | Q(status=Build.Status.BUILDING, heartbeat_at__lt=silent)
