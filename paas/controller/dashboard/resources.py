"""What an app has besides its processes: scheduled commands, volumes, ways out, networks.

In: an app.  Out: the page with a part for each.
"""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render

from paas.controller.dashboard import egress, networks, schedule, volumes
from paas.controller.dashboard.doors import Request, of_app
from paas.controller.dashboard.overview import header
from paas.controller.models import App


@of_app("GET")
def page(request: Request, app: App) -> HttpResponse:
    context = header(app, "resources") | volumes.context(app) | egress.context(app) | schedule.context(app)
    return render(request, "dashboard/resources.html", context | networks.context(request.user, app))
