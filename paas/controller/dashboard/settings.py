"""Settings of an app: name, host names, people, kernel parameters, maintenance, end.

In: forms.  Out: changed rows, through the services.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from paas.controller.dashboard import collaborators, kernel, sandbox
from paas.controller.dashboard.doors import Request, changed, field, gone_to, of_app
from paas.controller.dashboard.overview import header
from paas.controller.models import App
from paas.controller.selectors.apps import git_url
from paas.controller.services import apps, domains
from paas.errors import InvalidParams

DOMAINS = "dashboard/partials/domains.html"


def _domains(app: App) -> dict[str, Any]:
    return {
        "app": app,
        "domains": app.domains.order_by("hostname"),
        "platform_host": f"{app.name}.{settings.PAAS.domain}",
    }


@of_app("GET")
def page(request: Request, app: App) -> HttpResponse:
    context = header(app, "settings") | _domains(app) | {"git_url": git_url(app)}
    context |= collaborators.context(request, app) | kernel.context(app) | sandbox.context(app)
    return render(request, "dashboard/settings.html", context)


def _url(app: App) -> str:
    return reverse("dashboard:settings", args=[app.name])


@of_app("POST")
def rename(request: Request, app: App) -> HttpResponse:
    return gone_to(request, _url(apps.rename_app(request.user, app, field(request, "name").strip())))


@of_app("POST")
def add_domain(request: Request, app: App) -> HttpResponse:
    domain = domains.add_domain(request.user, app, field(request, "hostname").strip())
    notice = f"{domain.hostname} reaches {app.name} once its DNS points at this platform."
    return changed(request, _url(app), DOMAINS, lambda: _domains(app), notice)


@of_app("POST")
def remove_domain(request: Request, app: App) -> HttpResponse:
    domain = domains.remove_domain(request.user, app, field(request, "hostname"))
    return changed(
        request, _url(app), DOMAINS, lambda: _domains(app), f"{domain.hostname} no longer reaches {app.name}."
    )


@of_app("POST")
def maintenance(request: Request, app: App) -> HttpResponse:
    on = field(request, "on") == "1"
    app = apps.set_maintenance(request.user, app, on)
    notice = "Visitors now see the maintenance page." if on else "Visitors reach the app again."
    template = "dashboard/partials/maintenance.html"
    return changed(request, reverse("dashboard:app", args=[app.name]), template, lambda: {"app": app}, notice)


@of_app("POST")
def destroy(request: Request, app: App) -> HttpResponse:
    if field(request, "confirm").strip() != app.name:
        raise InvalidParams(f"Type {app.name} to destroy it. Nothing was changed.")
    apps.destroy_app(request.user, app)
    return gone_to(request, reverse("dashboard:home"))
