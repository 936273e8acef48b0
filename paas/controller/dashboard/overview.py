"""The page of one app: what runs, how the deploy goes, the live log.

In: an app.  Out: the page, and every two seconds the parts of it that have changed.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from paas.controller.dashboard.doors import Request, of_app
from paas.controller.dashboard.state import State, state_of
from paas.controller.models import App
from paas.controller.selectors.apps import git_url, web_url
from paas.controller.selectors.crashes import crashes
from paas.controller.selectors.formation import SIZES

CRASHES_SHOWN = 5


def header(app: App, tab: str) -> dict[str, Any]:
    """Return what every page of an app shows at its top."""
    return {"app": app, "state": state_of(app), "url": web_url(app), "tab": tab}


def formation_context(app: App, state: State) -> dict[str, Any]:
    return {"app": app, "state": state, "sizes": SIZES.values()}


@of_app("GET")
def page(request: Request, app: App) -> HttpResponse:
    context = header(app, "overview")
    context |= {
        "sizes": SIZES.values(),
        "git_url": git_url(app),
        "crashes": crashes(app, limit=CRASHES_SHOWN),
        "recent": app.releases.select_related("user").order_by("-version")[:5],
    }
    return render(request, "dashboard/overview.html", context)


@of_app("GET")
def live(request: Request, app: App) -> HttpResponse:
    """Answer with what differs from what the browser shows; 204 when nothing does."""
    state = state_of(app)
    if request.GET.get("seen") == state.seen:
        return HttpResponse(status=204)
    context = formation_context(app, state)
    context |= {
        "url": web_url(app),
        "git_url": git_url(app),
        "new_shape": request.GET.get("shape") != state.shape,
    }
    return render(request, "dashboard/partials/live.html", context)
