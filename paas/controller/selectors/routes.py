"""The route table, derived from rows.

In: apps, their current releases and their instances.  Out: one whole `RouteTable` of the newest version.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from django.conf import settings
from django.db import transaction

from paas.controller.models import App, Deployment, Instance, RouteVersion
from paas.controller.selectors.specs import WEB, template
from paas.router.table import AppRoute, Backend, EmptyReason, RouteTable
from runtime.model import InstanceState

SERVING = {InstanceState.UP.value, InstanceState.UNHEALTHY.value}


@transaction.atomic
def route_table() -> RouteTable:
    """Return what routers must serve. Version and content are read in one transaction.

    The number of queries does not depend on how many apps or instances there are.
    """
    version = route_version()
    instances: dict[UUID, list[Instance]] = defaultdict(list)
    web = Instance.objects.filter(process_type=WEB).exclude(wanted=Instance.Wanted.STOP)
    for instance in web.order_by("created_at", "id").defer("spec"):
        instances[instance.app_id].append(instance)
    hidden = _hidden_templates()
    apps = list(
        App.objects.select_related("current_release")
        .prefetch_related("domains")
        .defer("current_release__config_encrypted", "current_release__output")
        .order_by("name")
    )
    names = {own_host(app) for app in apps}
    routes = tuple(_route(app, names, instances[app.id], hidden.get(app.id, "")) for app in apps)
    return RouteTable(version=version, apps=routes)


def route_version() -> int:
    """Return the version of the newest table, without making the table."""
    return RouteVersion.objects.get_or_create(id=1)[0].version


def own_host(app: App) -> str:
    return f"{app.name}.{settings.PAAS.domain}"


def _hidden_templates() -> dict[UUID, str]:
    """Return, per app, the web template of a deployment that has not cut over: up, but not yet serving."""
    active = Deployment.objects.filter(status=Deployment.Status.ACTIVE, phase__in=["release", "start"])
    hidden: dict[UUID, str] = {}
    rows = active.select_related("release__slug", "app__current_release__slug").defer(
        "release__config_encrypted", "app__current_release__config_encrypted"
    )
    for deployment in rows:
        release, current = deployment.release, deployment.app.current_release
        if WEB not in release.formation:
            continue
        new = template(release, WEB)
        old = template(current, WEB) if current and WEB in current.formation else ""
        if new != old:
            hidden[deployment.app_id] = new
    return hidden


def _route(app: App, names: set[str], instances: list[Instance], hidden: str) -> AppRoute:
    """A domain that is another app's own name (the platform's domain was changed) would void the whole table."""
    domains = sorted(domain.hostname for domain in app.domains.all() if domain.hostname not in names)
    shown = (one for one in instances if one.template != hidden or one.wanted == Instance.Wanted.DRAIN)
    return AppRoute(
        app=str(app.id),
        name=app.name,
        hosts=(own_host(app), *domains),
        maintenance=app.maintenance,
        backends=tuple(_backends(shown)),
        empty=_empty_reason(app, instances),
    )


def _backends(instances: Iterable[Instance]) -> Iterable[Backend]:
    """Healthy instances serve; unhealthy ones only when there is nothing better. Draining ones end their requests."""
    serving = [one for one in instances if one.address and one.port and one.state in SERVING]
    healthy = any(one.state == InstanceState.UP and one.wanted == Instance.Wanted.RUN for one in serving)
    for one in serving:
        draining = one.wanted == Instance.Wanted.DRAIN
        if one.state == InstanceState.UP or draining or not healthy:
            yield Backend(
                id=str(one.id), name=one.name, address=one.address, port=one.port or 0, draining=draining
            )


def _empty_reason(app: App, instances: list[Instance]) -> EmptyReason:
    """Say why there may be nothing to route to, for the error page."""
    release = app.current_release
    if release is None or release.slug_id is None:
        return EmptyReason.NO_RELEASE
    if not release.formation.get(WEB, {}).get("quantity"):
        return EmptyReason.NO_WEB
    if any(one.state == InstanceState.CRASHED for one in instances):
        return EmptyReason.CRASHED
    return EmptyReason.STARTING
