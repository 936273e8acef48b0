"""Volumes of an app: what it has, where they are mounted, and the copies of each.

In: names, sizes, places.  Out: the list as it is now. What only a host knows comes after the page, volume by volume.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from paas.controller.dashboard.doors import Request, changed, field, of_app
from paas.controller.dashboard.formats import size
from paas.controller.models import App, Volume
from paas.controller.selectors.volumes import bindings_of_app, find_volume, volumes
from paas.controller.services import volumes as service
from paas.errors import InvalidParams, PaasError
from paas.sizes import parse_size

LIST = "dashboard/partials/volumes.html"
ONE = "dashboard/partials/volume_state.html"


def context(app: App) -> dict[str, Any]:
    """Return the volumes and where the newest release mounts each."""
    mounted = bindings_of_app(app)
    rows = [
        (one, " ".join(bound.text for bound in mounted if bound.volume == str(one.id)))
        for one in volumes(app)
    ]
    return {"app": app, "volumes": rows}


@of_app("GET")
def state(request: Request, app: App, volume: str) -> HttpResponse:
    """Answer what the host of a volume says of it."""
    return render(request, ONE, _state(find_volume(app, volume)))


@of_app("POST")
def create(request: Request, app: App) -> HttpResponse:
    name, mounts = field(request, "name").strip(), field(request, "mounts").split()
    made = service.create_volume(request.user, app, name, _size(request), mounts)
    return _listed(request, app, f"Made volume {made.name} of {size(made.size_bytes)} on {made.host.name}.")


@of_app("POST")
def mount(request: Request, app: App, volume: str) -> HttpResponse:
    release = service.set_mounts(request.user, find_volume(app, volume), field(request, "mounts").split())
    return _listed(
        request, app, f"v{release.version}: {release.description}." if release else "Nothing has changed."
    )


@of_app("POST")
def grow(request: Request, app: App, volume: str) -> HttpResponse:
    grown = service.resize(request.user, find_volume(app, volume), _size(request))
    return _listed(request, app, f"Volume {grown.name} holds {size(grown.size_bytes)}.")


@of_app("POST")
def destroy(request: Request, app: App, volume: str) -> HttpResponse:
    if field(request, "confirm").strip() != volume:
        raise InvalidParams(f"Type {volume} to destroy it with all that is in it. Nothing was changed.")
    service.destroy(request.user, find_volume(app, volume), force=True)
    return _listed(request, app, f"Volume {volume} is destroyed.")


@of_app("POST")
def snapshot(request: Request, app: App, volume: str) -> HttpResponse:
    taken = service.take_snapshot(request.user, find_volume(app, volume), field(request, "snapshot").strip())
    return _copied(request, app, volume, f"Snapshot {taken.name} is taken.")


@of_app("POST")
def restore(request: Request, app: App, volume: str) -> HttpResponse:
    name = field(request, "snapshot")
    service.restore(request.user, find_volume(app, volume), name)
    return _copied(request, app, volume, f"Volume {volume} is as it was at {name}.")


@of_app("POST")
def clone(request: Request, app: App, volume: str) -> HttpResponse:
    """Make another volume from a snapshot."""
    found, snapshot = find_volume(app, volume), field(request, "snapshot")
    name, source = field(request, "name").strip(), f"{found.id}/{snapshot}"
    made = service.create_volume(request.user, app, name, found.size_bytes, source=source)
    return _listed(request, app, f"Made volume {made.name} from {snapshot} of {volume}.")


@of_app("POST")
def remove_snapshot(request: Request, app: App, volume: str) -> HttpResponse:
    name = field(request, "snapshot")
    service.remove_snapshot(request.user, find_volume(app, volume), name)
    return _copied(request, app, volume, f"Snapshot {name} is deleted.")


def _state(volume: Volume) -> dict[str, Any]:
    found: dict[str, Any] = {"app": volume.app, "volume": volume, "status": service.status_of(volume)}
    try:
        found["snapshots"] = service.snapshots(volume) if found["status"] else ()
    except PaasError as error:
        found["problem"] = error.message
    return found


def _size(request: Request) -> int:
    try:
        return parse_size(field(request, "size"))
    except ValueError as error:
        raise InvalidParams(str(error)) from error


def _listed(request: Request, app: App, notice: str) -> HttpResponse:
    return changed(request, _url(app), LIST, lambda: context(app), notice)


def _copied(request: Request, app: App, volume: str, notice: str) -> HttpResponse:
    return changed(request, _url(app), ONE, lambda: _state(find_volume(app, volume)), notice)


def _url(app: App) -> str:
    return reverse("dashboard:resources", args=[app.name])
