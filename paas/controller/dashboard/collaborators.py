"""Who may work on an app, and whose it is.

In: e-mail addresses from the forms of the settings page.  Out: changed rows, through the services.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import reverse

from paas.controller.dashboard.doors import Request, changed, field, gone_to, of_app
from paas.controller.models import App
from paas.controller.selectors.apps import may_administer
from paas.controller.selectors.collaborators import members
from paas.controller.services.collaborators import add_collaborator, remove_collaborator, transfer_app
from paas.errors import InvalidParams

PEOPLE = "dashboard/partials/people.html"


def context(request: Request, app: App) -> dict[str, Any]:
    return {"app": app, "members": members(app), "may_administer": may_administer(request.user, app)}


def _settings(app: App) -> str:
    return reverse("dashboard:settings", args=[app.name])


@of_app("POST")
def add(request: Request, app: App) -> HttpResponse:
    added = add_collaborator(request.user, app, _email(request))
    notice = f"{added.user.email} can work on {app.name} now."
    return changed(request, _settings(app), PEOPLE, lambda: context(request, app), notice)


@of_app("POST")
def remove(request: Request, app: App) -> HttpResponse:
    member = remove_collaborator(request.user, app, _email(request))
    if member.user.id == request.user.id and not request.user.is_admin:
        return gone_to(request, reverse("dashboard:home"))
    notice = f"{member.user.email} can no longer work on {app.name}."
    return changed(request, _settings(app), PEOPLE, lambda: context(request, app), notice)


@of_app("POST")
def transfer(request: Request, app: App) -> HttpResponse:
    return gone_to(request, _settings(transfer_app(request.user, app, _email(request))))


def _email(request: Request) -> str:
    email = field(request, "email").strip()
    if not email:
        raise InvalidParams("Give the e-mail address of an account.")
    return email
