"""The audit trail: who did what, when.

In: words to search for.  Out: a page of events in words, of everything for admins.
"""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render

from paas.controller.dashboard.doors import Request, of_admin
from paas.controller.models import App
from paas.controller.selectors.events import entry, trail

PER_PAGE = 50


def context(request: Request, app: App | None = None) -> dict[str, Any]:
    """Return one page of the events of an app, or of everything."""
    search = request.GET.get("q", "").strip()
    page = Paginator(trail(app, search), PER_PAGE).get_page(request.GET.get("page"))
    return {"page": page, "entries": [entry(event) for event in page.object_list], "search": search}


@of_admin("GET")
def page(request: Request) -> HttpResponse:
    return render(request, "dashboard/audit.html", context(request) | {"nav": "audit", "apps": True})
