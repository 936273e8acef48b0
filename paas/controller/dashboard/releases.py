"""One release: what it changed, and the way back to it.

In: an app and a version.  Out: its difference to another release, or a new release that restores it.
"""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from paas.controller.dashboard.doors import Request, gone_to, of_app
from paas.controller.dashboard.overview import header
from paas.controller.models import App, Release
from paas.controller.selectors.releases import diff, find_release, releases
from paas.controller.services import releases as service


def _before(app: App, release: Release) -> Release | None:
    """Return the release that `release` was made from: the newest one before it that was or may become live."""
    older = releases(app).filter(version__lt=release.version).exclude(status__in=Release.NEVER_LIVE)
    return older.order_by("-version").first()


@of_app("GET")
def page(request: Request, app: App, version: int) -> HttpResponse:
    release = find_release(app, version)
    against = request.GET.get("against", "")
    before = find_release(app, against) if against else _before(app, release)
    context = header(app, "activity")
    context |= {
        "release": release,
        "before": before,
        "diff": diff(before, release) if before else None,
        "deployment": release.deployments.order_by("-created_at").first(),
        "build": release.builds.first(),
        "others": releases(app)
        .exclude(id=release.id)
        .order_by("-version")
        .values_list("version", flat=True)[:50],
    }
    return render(request, "dashboard/release.html", context)


@of_app("POST")
def rollback(request: Request, app: App, version: int) -> HttpResponse:
    service.rollback(request.user, app, find_release(app, version))
    return gone_to(request, reverse("dashboard:app", args=[app.name]))
