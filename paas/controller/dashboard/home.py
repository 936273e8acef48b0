"""The list of apps, and creating one.

In: who asks, words to search for.  Out: one row per app with its health and its last deploy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from paas.controller.dashboard.doors import Request, by_htmx, field, gone_to, signed_in
from paas.controller.dashboard.progress import BUILD_STATUS, DEPLOYMENT_STATUS
from paas.controller.dashboard.state import Health, health
from paas.controller.models import App, Build, Deployment, Instance
from paas.controller.selectors.apps import visible_apps, web_url
from paas.controller.services import apps

PER_PAGE = 50


@dataclass(frozen=True)
class AppCard:
    name: str
    url: str
    owner: str
    health: Health
    maintenance: bool
    version: int | None
    deploy_status: str
    deployed_at: datetime | None


@signed_in("GET")
def home(request: Request) -> HttpResponse:
    search = request.GET.get("q", "").strip()
    page = Paginator(_found(request, search), PER_PAGE).get_page(request.GET.get("page"))
    cards = app_cards(list(page.object_list))
    seen = hashlib.sha256(repr((search, page.number, cards)).encode()).hexdigest()[:16]
    if by_htmx(request) and request.GET.get("seen") == seen:
        return HttpResponse(status=204)
    context: dict[str, Any] = {"cards": cards, "page": page, "search": search, "seen": seen}
    if by_htmx(request):
        return render(request, "dashboard/partials/cards.html", context)
    context |= {"has_apps": bool(cards) or bool(search), "git_host": settings.PAAS.git_url, "nav": "apps"}
    return render(request, "dashboard/home.html", context)


def _found(request: Request, search: str) -> QuerySet[App]:
    found = visible_apps(request.user)
    return found.filter(name__icontains=search) if search else found


def app_cards(found: Sequence[App]) -> list[AppCard]:
    """Return a card per app; the number of queries does not grow with the number of apps."""
    ids = [app.id for app in found]
    up = _up(ids)
    last = _last_deploys(ids)
    return [_card(app, up.get(app.id, 0), *last.get(app.id, ("", None))) for app in found]


def _card(app: App, up: int, deploy_status: str, deployed_at: datetime | None) -> AppCard:
    release = app.current_release
    entries = release.formation.values() if release else ()
    deployed = release is not None and release.slug_id is not None
    return AppCard(
        name=app.name,
        url=web_url(app),
        owner=app.owner.email,
        health=health(up, sum(entry["quantity"] for entry in entries), deployed),
        maintenance=app.maintenance,
        version=release.version if release else None,
        deploy_status=deploy_status,
        deployed_at=deployed_at,
    )


def _up(ids: Sequence[UUID]) -> dict[UUID, int]:
    counted = Instance.objects.filter(app_id__in=ids, wanted=Instance.Wanted.RUN).values("app_id")
    return dict(counted.annotate(up=Count("id", filter=Q(state="up"))).values_list("app_id", "up"))


def _last_deploys(ids: Sequence[UUID]) -> dict[UUID, tuple[str, datetime]]:
    """Return how and when each app was last deployed: its newest build, or a deployment that is newer."""
    deployments = Deployment.objects.filter(app=OuterRef("pk")).order_by("-created_at").values("id")[:1]
    builds = Build.objects.filter(app=OuterRef("pk")).order_by("-created_at").values("id")[:1]
    newest = App.objects.filter(id__in=ids).values_list("id", Subquery(deployments), Subquery(builds))
    rows = [(app_id, deployment_id, build_id) for app_id, deployment_id, build_id in newest]
    by_deployment = Deployment.objects.in_bulk([one for _, one, _ in rows if one])
    by_build = Build.objects.in_bulk([one for _, _, one in rows if one])
    return {
        app_id: chosen
        for app_id, deployment_id, build_id in rows
        if (chosen := _newer(by_deployment.get(deployment_id), by_build.get(build_id)))
    }


def _newer(deployment: Deployment | None, build: Build | None) -> tuple[str, datetime] | None:
    if build is not None and (deployment is None or build.created_at > deployment.created_at):
        return BUILD_STATUS[Build.Status(build.status)], build.finished_at or build.created_at
    if deployment is None:
        return None
    status = DEPLOYMENT_STATUS[Deployment.Status(deployment.status)]
    return status, deployment.finished_at or deployment.created_at


@signed_in("POST")
def create(request: Request) -> HttpResponse:
    app = apps.create_app(request.user, field(request, "name").strip() or None)
    return gone_to(request, reverse("dashboard:app", args=[app.name]))
