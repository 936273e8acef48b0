"""The timer behind every hint: what a lost message left undone is found in the rows and asked for again."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from celery import shared_task
from django.db.models import Count, F, Q
from django.utils import timezone

from paas.controller.models import App, Deployment, Host, Instance, OneOff, Router, Volume
from paas.controller.queue import send
from paas.controller.selectors.planning import HOST_LOST, HOST_QUIET, ROUTER_LOST, STALE
from paas.controller.selectors.routes import route_version
from paas.controller.services import build_queue, one_offs, planning, stacks

logger = logging.getLogger(__name__)

RESEND = timedelta(seconds=5)


@shared_task
def tick() -> None:
    now = timezone.now()
    lost = lost_hosts(now)
    for app_id in apps_to_look_at(now, lost):
        _reconcile(app_id)
    for build_id in build_queue.waiting_builds():
        send("builds.run_build", build_id)
    for task_id in stacks.waiting_tasks():
        send("stacks.run_stack_task", task_id)
    _push(now)
    _follow_one_offs(now, lost)
    _remove_volumes(now)


def _remove_volumes(now: datetime) -> None:
    for volume_id in Volume.objects.filter(doomed=True, updated_at__lt=now - RESEND).values_list(
        "id", flat=True
    ):
        send("volumes.remove_volume", str(volume_id))


def _reconcile(app_id: UUID) -> None:
    """One app that cannot be planned must not keep the others from it."""
    try:
        planning.reconcile_app(app_id)
    except Exception:
        logger.exception("app %s cannot be planned; it is tried again at the next tick", app_id)


def _push(now: datetime) -> None:
    """Hosts and routers that answer get what they lack; those that do not would only hold up a worker each.

    Their first report fetches it.
    """
    for host in Host.objects.filter(reported__lt=F("generation"), seen_at__gte=now - HOST_QUIET):
        send("hosts.push_host", str(host.id))
    if Router.objects.filter(applied__lt=route_version(), seen_at__gte=now - ROUTER_LOST).exists():
        send("routing.push_routers")


def _follow_one_offs(now: datetime, lost: Collection[UUID]) -> None:
    unfinished = OneOff.objects.filter(finished_at__isnull=True, updated_at__lt=now - RESEND)
    due = unfinished.filter(Q(sent_at__isnull=True) | Q(stop_requested=True))
    with_host = due.filter(host__seen_at__gte=now - HOST_QUIET)
    for one_off_id, stop in with_host.values_list("id", "stop_requested"):
        send("one_offs.stop_one_off" if stop else "one_offs.send_one_off", str(one_off_id))
    for one_off in unfinished.filter(host__in=lost).defer("spec"):
        one_offs.give_up(one_off, now)


def lost_hosts(now: datetime) -> set[UUID]:
    """Return the hosts that are lost while another answers. With none answering it is this side that hears nothing."""
    seen = dict(Host.objects.values_list("id", "seen_at"))
    if not any(at and now - at <= HOST_QUIET for at in seen.values()):
        return set()
    return {host for host, at in seen.items() if at is None or now - at > HOST_LOST}


def apps_to_look_at(now: datetime, lost: Collection[UUID]) -> set[UUID]:
    """Return the apps whose rows say that something is still to be done. `lost`: hosts that are."""
    unsettled = ~Q(wanted=Instance.Wanted.RUN) | Q(template__startswith=STALE) | Q(host__in=lost)
    found: set[UUID] = set(App.objects.filter(wake_at__lte=now).values_list("id", flat=True))
    found |= set(Deployment.objects.filter(status=Deployment.Status.ACTIVE).values_list("app_id", flat=True))
    found |= set(Instance.objects.filter(unsettled).values_list("app_id", flat=True))
    return found | apps_short_of_instances()


def apps_short_of_instances() -> set[UUID]:
    """Return the apps whose wanted instances are not as many, type by type, as their current release says."""
    running: dict[UUID, Counter[str]] = defaultdict(Counter)
    wanted = Instance.objects.filter(wanted=Instance.Wanted.RUN).order_by()
    for app_id, type_, count in wanted.values_list("app_id", "process_type").annotate(count=Count("id")):
        running[app_id][type_] = count
    formations = App.objects.exclude(current_release=None).values_list("id", "current_release__formation")
    return {
        app_id
        for app_id, formation in formations
        if Counter({type_: entry["quantity"] for type_, entry in formation.items()}) != running[app_id]
    }
