"""Config vars: masked until somebody asks, every change a release.

In: names and values.  Out: the table as it is now.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from paas.controller.dashboard.doors import Request, by_htmx, changed, field, of_app
from paas.controller.dashboard.overview import header
from paas.controller.models import App, Release
from paas.controller.selectors.config import config_vars
from paas.controller.services.config import set_config
from paas.errors import NotFound

TABLE = "dashboard/partials/config_table.html"


def _context(app: App) -> dict[str, Any]:
    """Return the names only: a value leaves the server when its own row is asked for."""
    return {"app": app, "names": sorted(config_vars(app))}


@of_app("GET", "POST")
def page(request: Request, app: App) -> HttpResponse:
    """Show the table, or set one variable."""
    if request.method == "POST":
        key = field(request, "key").strip()
        release = set_config(request.user, app, {key: field(request, "value")})
        return _saved(request, app, release, f"{key} has that value already.")
    response = render(request, "dashboard/config.html", header(app, "config") | _context(app))
    response.headers["Cache-Control"] = "no-store"
    return response


@of_app("GET")
def one(request: Request, app: App, key: str) -> HttpResponse:
    """Show one row: masked, revealed or as a form (`show`)."""
    values = config_vars(app)
    if key not in values:
        raise NotFound(f"{app.name} has no config var {key} any more. Reload the page.")
    row = {"app": app, "key": key, "value": values[key], "show": request.GET.get("show", "")}
    if by_htmx(request):
        response = render(request, "dashboard/partials/config_row.html", row)
    else:
        context = header(app, "config") | _context(app) | {"shown": row}
        response = render(request, "dashboard/config.html", context)
    response.headers["Cache-Control"] = "no-store"
    return response


@of_app("POST")
def remove(request: Request, app: App, key: str) -> HttpResponse:
    return _saved(request, app, set_config(request.user, app, {key: None}), f"{key} was removed before.")


def _saved(request: Request, app: App, release: Release | None, unchanged: str) -> HttpResponse:
    notice = f"v{release.version}: {release.description}." if release else unchanged
    if release is not None and release.slug_id:
        notice += " Instances are replaced one by one, without downtime."
    url = reverse("dashboard:config", args=[app.name])
    return changed(request, url, TABLE, lambda: _context(app), notice)
