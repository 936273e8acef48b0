"""One build: its phases, its output while it runs and afterwards, and cancelling it.

In: an app and a build.  Out: the page, its live parts, a stream that resumes where the reader stopped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import UUID

from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse

from paas.controller.dashboard import events
from paas.controller.dashboard.doors import Request, changed, of_app
from paas.controller.dashboard.overview import header
from paas.controller.dashboard.progress import Progress, of_build, of_deployment
from paas.controller.models import App, Build, Deployment
from paas.controller.redis_connection import RedisError
from paas.controller.selectors.builds import build_output, find_build, follow, outcome
from paas.controller.services import builds
from paas.errors import PaasError

STATE = "dashboard/partials/build_state.html"


def build_progress(build: Build) -> Progress:
    """Return how the build goes, and once it has a release, how that goes live."""
    if build.release_id:
        deployment = Deployment.objects.select_related("release").filter(release_id=build.release_id).first()
        if deployment is not None:
            return of_deployment(deployment)
    return of_build(build)


def _context(app: App, build: Build) -> dict[str, object]:
    return {"app": app, "build": build, "progress": build_progress(build)}


@of_app("GET")
def page(request: Request, app: App, build_id: UUID) -> HttpResponse:
    build = find_build(app, str(build_id))
    return render(request, "dashboard/build.html", header(app, "activity") | _context(app, build))


@of_app("GET")
def state(request: Request, app: App, build_id: UUID) -> HttpResponse:
    return render(request, STATE, _context(app, find_build(app, str(build_id))))


@of_app("POST")
def cancel(request: Request, app: App, build_id: UUID) -> HttpResponse:
    builds.cancel_build(request.user, find_build(app, str(build_id)))
    build = find_build(app, str(build_id))  # as it is now
    url = reverse("dashboard:build", args=[app.name, build.id])
    return changed(
        request,
        url,
        STATE,
        lambda: _context(app, build),
        "The build is being cancelled; the old release keeps serving.",
    )


@of_app("GET")
def stream(request: Request, app: App, build_id: UUID) -> StreamingHttpResponse:
    seen = request.headers.get("Last-Event-ID") or request.GET.get("after", "")
    build = find_build(app, str(build_id))
    frames = _frames(build, int(seen) if seen.isdigit() else 0)
    return events.stream(frames, request.user.id, app.id)


def _lines(build: Build) -> Iterator[str | None]:
    """Yield the lines, and None where a live build pauses."""
    if outcome(build.id) is not None:
        yield from build_output(build)
        return
    for step in follow(build.id):
        yield step.line


def _frames(build: Build, seen: int) -> Iterator[str]:
    """Yield the lines after the first `seen`; an event's id is how many there have been by then."""
    until = time.monotonic() + events.LIFETIME
    count = 0
    try:
        for line in _lines(build):
            count += line is not None
            if line is None:
                yield events.KEEP_ALIVE
            elif count > seen:
                yield events.frame(line, id=str(count))
            if time.monotonic() > until:
                yield "retry: 200\n\n"
                return
        yield events.frame("", kind="end", id=str(count))
    except PaasError as error:
        yield events.frame(error.message, kind="problem", retry=4000)
    except RedisError:
        yield events.frame(
            "The output is not available at the moment. Trying again.", kind="problem", retry=4000
        )
