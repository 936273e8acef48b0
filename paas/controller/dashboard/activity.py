"""The ledger of an app: releases and builds, newest first.

In: an app.  Out: a page of its releases, each with a way back, and its last builds.
"""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render

from paas.controller.dashboard.doors import Request, of_app
from paas.controller.dashboard.overview import header
from paas.controller.models import App
from paas.controller.selectors.releases import releases

PER_PAGE = 25
BUILDS = 15


@of_app("GET")
def page(request: Request, app: App) -> HttpResponse:
    ledger = releases(app).defer("config_encrypted").prefetch_related("builds").order_by("-version")
    context = header(app, "activity")
    context |= {
        "page": Paginator(ledger, PER_PAGE).get_page(request.GET.get("page")),
        "builds": app.builds.select_related("user", "release").order_by("-created_at")[:BUILDS],
    }
    return render(request, "dashboard/activity.html", context)
