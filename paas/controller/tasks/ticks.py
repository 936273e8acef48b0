"""The timer behind every hint: what a lost message left undone is found in the rows and asked for again."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from celery import shared_task
from django.db.models import F
from django.utils import timezone

from paas.controller.models import App, Deployment, Host, Instance, OneOff, Router
from paas.controller.queue import send
from paas.controller.selectors.routes import route_table
from paas.controller.services import builds, planning

RESEND = timedelta(seconds=5)


@shared_task
def tick() -> None:
    for app_id in apps_to_look_at():
        planning.reconcile_app(app_id)
    for build_id in builds.waiting_builds()[:5]:
        send("builds.run_build", build_id)
    now = timezone.now()
    for host in Host.objects.filter(reported__lt=F("generation")):
        send("hosts.push_host", str(host.id))
    if Router.objects.filter(applied__lt=route_table().version).exists():
        send("routing.push_routers")
    unfinished = OneOff.objects.filter(finished_at__isnull=True, updated_at__lt=now - RESEND)
    for one_off in unfinished.filter(sent_at__isnull=True, stop_requested=False):
        send("one_offs.send_one_off", str(one_off.id))
    for one_off in unfinished.filter(stop_requested=True):
        send("one_offs.stop_one_off", str(one_off.id))


def apps_to_look_at() -> set[UUID]:
    """Return the apps whose rows say that something is still to be done."""
    now = timezone.now()
    found: set[UUID] = set(App.objects.filter(wake_at__lte=now).values_list("id", flat=True))
    found |= set(Deployment.objects.filter(status=Deployment.Status.ACTIVE).values_list("app_id", flat=True))
    found |= set(Instance.objects.exclude(wanted=Instance.Wanted.RUN).values_list("app_id", flat=True))
    found |= set(Instance.objects.filter(template__startswith="stale:").values_list("app_id", flat=True))
    return found | apps_short_of_instances()


def apps_short_of_instances() -> set[UUID]:
    """Return the apps that have fewer wanted instances than their current release says."""
    short: set[UUID] = set()
    for app in App.objects.select_related("current_release").exclude(current_release=None):
        formation = app.current_release.formation if app.current_release else {}
        wanted = sum(entry["quantity"] for entry in formation.values())
        if wanted != app.instances.filter(wanted=Instance.Wanted.RUN).count():
            short.add(app.id)
    return short
