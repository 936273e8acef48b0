"""Reading apps. `access_app` fetches and authorises in one step; there is no other way to an app for a door.

In: who asks, and a name or id.  Out: rows that the asker may see.
"""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet

from paas.controller.models import App, Collaborator, User
from paas.controller.texts import storable
from paas.errors import NotFound


def visible_apps(user: User) -> QuerySet[App]:
    """Return the apps that `user` may work on, by name; none for an account that is switched off."""
    apps = App.objects.select_related("owner", "current_release").order_by("name")
    apps = apps.defer("current_release__config_encrypted", "current_release__output")
    if not user.is_active:
        return apps.none()
    if user.is_admin:
        return apps
    shared = Collaborator.objects.filter(user=user).values("app_id")
    return apps.filter(Q(owner=user) | Q(id__in=shared))


def access_app(user: User, name_or_id: str) -> App:
    """Return the app. Raises NotFound alike for one that does not exist and one of somebody else."""
    app = visible_apps(user).filter(_by_identity(name_or_id)).first()
    if app is None:
        raise NotFound("Couldn't find that app.", resource="app")
    return app


def may_administer(user: User, app: App) -> bool:
    """Tell whether `user` decides about the app itself: its name, its people, its end. Others work on it."""
    return user.is_active and (user.is_admin or app.owner_id == user.id)


def _by_identity(name_or_id: str) -> Q:
    try:
        return Q(id=UUID(name_or_id))
    except ValueError:
        return Q(name=storable(name_or_id).lower())


def app_hosts(app: App) -> list[str]:
    """Return every host name that reaches the app, its own under the platform's domain first."""
    return [
        f"{app.name}.{settings.PAAS.domain}",
        *app.domains.order_by("hostname").values_list("hostname", flat=True),
    ]


def web_url(app: App) -> str:
    url: str = settings.PAAS.app_url(f"{app.name}.{settings.PAAS.domain}")
    return url


def git_url(app: App) -> str:
    return f"{settings.PAAS.git_url}/{app.name}.git"
