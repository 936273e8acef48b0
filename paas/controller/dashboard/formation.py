"""Scaling and restarting.

In: quantity and size of a process type, or what to restart.  Out: the formation as it is now.
"""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse

from paas.controller.dashboard.doors import Request, changed, field, of_app
from paas.controller.dashboard.overview import formation_context
from paas.controller.dashboard.state import state_of
from paas.controller.models import App, OneOff
from paas.controller.services import formation, instances, one_offs
from paas.errors import InvalidParams, NotFound

TEMPLATE = "dashboard/partials/formation.html"


def _answer(request: Request, app: App, notice: str) -> HttpResponse:
    url = reverse("dashboard:app", args=[app.name])
    return changed(request, url, TEMPLATE, lambda: formation_context(app, state_of(app)), notice)


@of_app("POST")
def scale(request: Request, app: App) -> HttpResponse:
    process_type = field(request, "type")
    update = formation.FormationUpdate(
        process_type, field(request, "quantity"), field(request, "size") or None
    )
    release = formation.scale(request.user, app, [update])
    if release is None:
        return _answer(request, app, f"{process_type} is at {update.quantity} already.")
    return _answer(
        request, app, f"v{release.version}: {release.description}. Running requests are not dropped."
    )


@of_app("POST")
def restart(request: Request, app: App) -> HttpResponse:
    """Restart one instance (`name`), one process type (`type`) or everything."""
    name, process_type = field(request, "name"), field(request, "type")
    count = instances.restart(request.user, app, process_type=process_type or None, name=name or None)
    what = name or process_type or "the app"
    plural = "instance is" if count == 1 else "instances are"
    return _answer(request, app, f"Restarting {what}: {count} {plural} replaced one by one.")


@of_app("POST")
def stop_one_off(request: Request, app: App, one_off_id: UUID) -> HttpResponse:
    one_off = OneOff.objects.filter(app=app, id=one_off_id).first()
    if one_off is None:
        raise NotFound("That process has ended already.")
    if one_off.deployment_id:
        raise InvalidParams(f"{one_off.name} is the release command of a deployment; it ends with it.")
    one_offs.stop_one_off(request.user, one_off)
    return _answer(request, app, f"{one_off.name} is being stopped.")
