"""Kernel parameters in the settings of an app: one form for both kinds, since only sysctls have dots in their names.

In: a name and a value.  Out: the list as it is now; every change is a release.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import reverse

from paas.controller.dashboard.doors import Request, changed, field, of_app
from paas.controller.models import App, Release
from paas.controller.selectors.kernel import kernel_parameters
from paas.controller.services.kernel import flatten, set_kernel
from runtime.model import SYSCTLS, ULIMITS

TABLE = "dashboard/partials/kernel.html"


def context(app: App) -> dict[str, Any]:
    """Return what is set, and what could be."""
    meanings = {name: known.meaning for name, known in SYSCTLS.items()}
    meanings |= {name: f"{known.meaning} ({known.unit})" for name, known in ULIMITS.items()}
    rows = [(name, value, meanings.get(name, "")) for name, value in flatten(kernel_parameters(app)).items()]
    return {"app": app, "parameters": rows, "possible": meanings}


@of_app("POST")
def save(request: Request, app: App) -> HttpResponse:
    name = field(request, "name").strip()
    release = _set(request, app, name, field(request, "value").strip())
    return _saved(request, app, release, f"{name} has that value already.")


@of_app("POST")
def remove(request: Request, app: App) -> HttpResponse:
    name = field(request, "name")
    return _saved(request, app, _set(request, app, name, None), f"{name} was removed before.")


def _set(request: Request, app: App, name: str, value: str | None) -> Release | None:
    kind = "sysctls" if "." in name else "ulimits"
    return set_kernel(request.user, app, **{kind: {name: value}})


def _saved(request: Request, app: App, release: Release | None, unchanged: str) -> HttpResponse:
    notice = f"v{release.version}: {release.description}." if release else unchanged
    if release is not None and release.slug_id:
        notice += " Instances are replaced one by one, without downtime."
    return changed(
        request, reverse("dashboard:settings", args=[app.name]), TABLE, lambda: context(app), notice
    )
