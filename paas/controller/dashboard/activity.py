"""The ledger of an app: releases, builds, and who did what, newest first.

In: an app.  Out: a page of its releases, each with a way back, its last builds and events; a page of all its events.
"""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render

from paas.controller.dashboard import audit
from paas.controller.dashboard.doors import Request, of_app
from paas.controller.dashboard.overview import header
from paas.controller.models import App
from paas.controller.selectors.events import entry, trail
from paas.controller.selectors.releases import releases

PER_PAGE = 25
BUILDS = 15
EVENTS = 15


@of_app("GET")
def page(request: Request, app: App) -> HttpResponse:
    ledger = releases(app).defer("config_encrypted").prefetch_related("builds").order_by("-version")
    context = header(app, "activity")
    context |= {
        "page": Paginator(ledger, PER_PAGE).get_page(request.GET.get("page")),
        "builds": app.builds.select_related("user", "release").order_by("-created_at")[:BUILDS],
        "entries": [entry(event) for event in trail(app)[:EVENTS]],
    }
    return render(request, "dashboard/activity.html", context)


@of_app("GET")
def events(request: Request, app: App) -> HttpResponse:
    context = header(app, "activity") | audit.context(request, app)
    return render(request, "dashboard/events.html", context)
