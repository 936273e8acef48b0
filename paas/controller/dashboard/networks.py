"""The networks that an app is in.

In: names of networks and aliases.  Out: the list as it is now; joining and leaving is in force at once.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import reverse

from paas.controller.dashboard.doors import Request, changed, field, of_app
from paas.controller.models import App, Network, User
from paas.controller.selectors.apps import visible_apps
from paas.controller.selectors.networks import access_network, aliases, visible_networks
from paas.controller.services import networks as service

LIST = "dashboard/partials/networks.html"


def context(user: User, app: App) -> dict[str, Any]:
    """Return the networks that the app is in with its peers, those that it could join, and those without members."""
    seen = set(visible_apps(user).order_by().values_list("id", flat=True))
    found = [(one, _names(app, one), _peers(app, one, seen)) for one in visible_networks(user)]
    return {
        "app": app,
        "networks": [row for row in found if row[1]],
        "joinable": [one for one, names, _ in found if not names],
        "deserted": [one for one, names, peers in found if not names and not peers],
    }


def _names(app: App, network: Network) -> list[str]:
    """What the app is called there; nothing when it is not in it."""
    return [
        f"{alias}.{network.name}.internal"
        for member in network.members.all()
        if member.app_id == app.id
        for alias in aliases(member)
    ]


def _peers(app: App, network: Network, seen: set[Any]) -> list[str]:
    others = [member.app for member in network.members.all() if member.app_id != app.id]
    hidden = sum(one.id not in seen for one in others)
    names = sorted(one.name for one in others if one.id in seen)
    return [*names, f"{hidden} that you do not work on"] if hidden else names


@of_app("POST")
def join(request: Request, app: App) -> HttpResponse:
    network = access_network(request.user, field(request, "network").strip())
    service.join_network(request.user, network, app, field(request, "aliases").split())
    return _listed(request, app, f"{app.name} is in {network.name}.")


@of_app("POST")
def leave(request: Request, app: App) -> HttpResponse:
    network = access_network(request.user, field(request, "network"))
    service.leave_network(request.user, network, app)
    return _listed(request, app, f"{app.name} has left {network.name}.")


@of_app("POST")
def create(request: Request, app: App) -> HttpResponse:
    """Make a network with this app as its first member: an empty one is of no use to anybody."""
    internal = request.POST.get("internal") == "on"
    network = service.create_network(request.user, field(request, "name"), internal)
    service.join_network(request.user, network, app, ())
    return _listed(request, app, f"Made {network.name}; {app.name} is in it.")


@of_app("POST")
def destroy(request: Request, app: App) -> HttpResponse:
    network = access_network(request.user, field(request, "network"))
    service.destroy_network(request.user, network)
    return _listed(request, app, f"Destroyed {network.name}.")


def _listed(request: Request, app: App, notice: str) -> HttpResponse:
    url = reverse("dashboard:resources", args=[app.name])
    return changed(request, url, LIST, lambda: context(request.user, app), notice)
