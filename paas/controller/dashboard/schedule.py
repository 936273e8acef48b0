"""Scheduled commands of an app: started by hand, paused, resumed.

In: an entry by its id.  Out: the list as it is now, with the last runs of each.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import reverse

from paas.controller.dashboard.doors import Request, changed, of_app
from paas.controller.models import App
from paas.controller.selectors.cron import last_runs, scheduled
from paas.controller.services import cron

LIST = "dashboard/partials/schedule.html"


def context(app: App) -> dict[str, Any]:
    jobs = scheduled(app)
    runs = last_runs(app, (one.command for one in jobs)) if jobs else {}
    return {"app": app, "jobs": [(one, runs.get(one.command, [])) for one in jobs]}


@of_app("POST")
def run(request: Request, app: App, job: str) -> HttpResponse:
    one_off = cron.run_now(request.user, app, job)
    return _listed(request, app, f"Started {one_off.name}.")


@of_app("POST")
def pause(request: Request, app: App, job: str) -> HttpResponse:
    cron.set_paused(request.user, app, job, True)
    return _listed(request, app, "Paused: it starts by hand only.")


@of_app("POST")
def resume(request: Request, app: App, job: str) -> HttpResponse:
    cron.set_paused(request.user, app, job, False)
    return _listed(request, app, "Resumed: it starts at its next time.")


def _listed(request: Request, app: App, notice: str) -> HttpResponse:
    return changed(
        request, reverse("dashboard:resources", args=[app.name]), LIST, lambda: context(app), notice
    )
