"""How an app is isolated, in its settings: a form with what hosts offer.

In: a runtime, a seccomp profile, a tick.  Out: the form as it is now; every change is a release.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone

from paas.controller.dashboard.doors import Request, changed, field, of_app
from paas.controller.models import App
from paas.controller.selectors.planning import HOST_QUIET
from paas.controller.selectors.sandbox import offered, sandbox_of
from paas.controller.services.sandbox import set_sandbox

FORM = "dashboard/partials/sandbox.html"


def context(app: App) -> dict[str, Any]:
    """Return what is chosen, and what could be."""
    return {"app": app, "sandbox": sandbox_of(app), "offered": offered(timezone.now() - HOST_QUIET)}


@of_app("POST")
def save(request: Request, app: App) -> HttpResponse:
    release = set_sandbox(
        request.user,
        app,
        runtime=field(request, "runtime"),
        seccomp=field(request, "seccomp"),
        readonly=request.POST.get("readonly") == "on",
    )
    notice = f"v{release.version}: {release.description}." if release else "Nothing has changed."
    if release is not None and release.slug_id:
        notice += " Instances are replaced one by one, without downtime."
    url = reverse("dashboard:settings", args=[app.name])
    return changed(request, url, FORM, lambda: context(app), notice)
