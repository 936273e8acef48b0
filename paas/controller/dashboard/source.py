"""Where an app's code comes from: the repository elsewhere, its hook and what that said, the folder that is the app.

In: forms.  Out: the page; the hook's secret once, in the answer that made it; a build.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters

from paas.controller.dashboard.doors import Request, by_htmx, changed, field, gone_to, of_app
from paas.controller.dashboard.overview import header
from paas.controller.models import App, Source
from paas.controller.selectors.apps import git_url
from paas.controller.services import sources

PAGE = "dashboard/source.html"
PARTS = "dashboard/partials/source.html"
FOLDER = "dashboard/partials/source_path.html"


def context(request: Request, app: App, secret: str = "") -> dict[str, Any]:
    """Return the repository and its last hooks. `secret`: of the hook, when it has just been made."""
    source = Source.objects.select_related("user").filter(app=app).first()
    hooks = source.hook_records.select_related("build").order_by("-at", "-id") if source else ()
    hook_url = request.build_absolute_uri(f"/hooks/{source.id}") if source else ""
    return {"app": app, "source": source, "hooks": hooks, "hook_url": hook_url, "secret": secret}


@of_app("GET")
def page(request: Request, app: App) -> HttpResponse:
    return render(request, PAGE, _page(request, app))


def _page(request: Request, app: App, secret: str = "") -> dict[str, Any]:
    return header(app, "source") | context(request, app, secret) | {"git_url": git_url(app)}


@sensitive_post_parameters()
@of_app("POST")
def connect(request: Request, app: App) -> HttpResponse:
    before = Source.objects.filter(app=app).first()
    source, secret = sources.connect(request.user, app, _wanted(request, before))
    notice = f"{app.name} is connected to {source.url}." if secret else "The repository is used as you said."
    return _answer(request, app, notice, secret)


def _wanted(request: Request, before: Source | None) -> sources.Repository:
    """An empty token keeps the one there is; a host key is kept unless the repository is another one."""
    url, given = field(request, "url").strip(), request.POST
    return sources.Repository(
        url=url,
        branch=field(request, "branch").strip() or "main",
        token="" if "forget" in given else field(request, "token").strip() or None,
        token_user=field(request, "token_user").strip(),
        automatic="automatic" in given,
        again=before is None or url != before.url or "again" in given,
    )


@of_app("POST")
def disconnect(request: Request, app: App) -> HttpResponse:
    sources.disconnect(request.user, app)
    return _answer(request, app, "Disconnected: hooks are refused, token and key are forgotten.")


@of_app("POST")
def new_secret(request: Request, app: App) -> HttpResponse:
    _, secret = sources.new_secret(request.user, app)
    return _answer(request, app, "The old secret is refused from now on.", secret)


def _answer(request: Request, app: App, notice: str, secret: str = "") -> HttpResponse:
    """A secret is in this one answer and nowhere else, so there is no redirect to follow."""
    if secret and not by_htmx(request):
        response = render(request, PAGE, _page(request, app, secret))
    else:
        response = changed(request, _url(app), PARTS, lambda: context(request, app, secret), notice)
    if secret:
        response.headers["Cache-Control"] = "no-store"
    return response


@of_app("POST")
def set_path(request: Request, app: App) -> HttpResponse:
    app = sources.set_path(request.user, app, field(request, "path"))
    notice = f"From the next build on {app.source_path or 'the whole source'} is the app."
    return changed(request, _url(app), FOLDER, lambda: {"app": app}, notice)


@of_app("POST")
def deploy(request: Request, app: App) -> HttpResponse:
    build = sources.deploy(request.user, app, field(request, "ref").strip())
    return gone_to(request, reverse("dashboard:build", args=[app.name, build.id]))


def _url(app: App) -> str:
    return reverse("dashboard:source", args=[app.name])
