"""The doors of the dashboard: who may pass, and how an error looks.

In: a request with a session.  Out: a view called with the signed-in user and an app of theirs, or words why not.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from paas.controller.models import User
from paas.controller.outages import SIGNS, outage
from paas.controller.selectors.apps import access_app
from paas.errors import Forbidden, PaasError

logger = logging.getLogger(__name__)

View = Callable[..., HttpResponseBase]


class Request(HttpRequest):
    """A request that has passed a door."""

    user: User


def signed_in(*methods: str, temporary: bool = False) -> Callable[[View], View]:
    """Let a view be called with these methods, by somebody who has signed in.

    `temporary`: also with a password that an admin made; everything else waits until it is replaced.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def door(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method not in methods and not (request.method == "HEAD" and "GET" in methods):
                return HttpResponseNotAllowed(methods)
            if not request.user.is_authenticated:
                return _to_login(request)
            if request.user.password_temporary and not temporary:
                return _elsewhere(request, reverse("dashboard:account"), "Choose your own password first.")
            try:
                response = view(request, *args, **kwargs)
            except PaasError as error:
                response = problem(request, error)
            except SIGNS as error:
                found = outage(error)
                if found is None:
                    raise
                logger.exception("%s %s failed", request.method, request.path)
                response = problem(request, found)
            response.headers.setdefault("Cache-Control", "private, no-cache")
            return response

        return door

    return decorate


def of_app(*methods: str) -> Callable[[View], View]:
    """Like `signed_in`; the `name` in the path becomes an app that the user may work on."""

    def decorate(view: View) -> View:
        @signed_in(*methods)
        @wraps(view)
        def door(request: Request, name: str, **kwargs: Any) -> HttpResponseBase:
            return view(request, access_app(request.user, name), **kwargs)

        return door

    return decorate


def of_admin(*methods: str) -> Callable[[View], View]:
    """Like `signed_in`, for admins."""

    def decorate(view: View) -> View:
        @signed_in(*methods)
        @wraps(view)
        def door(request: Request, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_admin:
                raise Forbidden("Only an admin of this platform can see or change this. Ask one of them.")
            return view(request, **kwargs)

        return door

    return decorate


def by_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def _to_login(request: HttpRequest) -> HttpResponseBase:
    login = reverse("dashboard:login")
    target = request.get_full_path() if request.method == "GET" else "/"
    # The page that asked by htmx is behind the login too: the browser comes back to it, not to the fragment.
    url = login if by_htmx(request) else f"{login}?next={quote(target)}"
    return _elsewhere(request, url, "Sign in first.")


def _elsewhere(request: HttpRequest, url: str, why: str) -> HttpResponseBase:
    """Send a browser to where it can go on; a live part or stream of a page takes its page along."""
    if by_htmx(request):
        return HttpResponse(status=401, headers={"HX-Redirect": url})
    if request.headers.get("Accept") == "text/event-stream":
        return HttpResponse(why, status=401, content_type="text/plain")
    return HttpResponseRedirect(url)


def problem(request: HttpRequest, error: PaasError) -> HttpResponse:
    """Return the error in words: in the form that asked, in a passing notice, or as a page."""
    if not by_htmx(request):
        return render(request, _error_page(error), {"problem": error.message}, status=error.status)
    response = render(
        request, "dashboard/partials/problem.html", {"problem": error.message}, status=error.status
    )
    if request.method == "POST":
        response.headers["HX-Retarget"] = "find .problem"
        response.headers["HX-Reswap"] = "innerHTML"
    else:
        response.headers["HX-Reswap"] = "none"
        response.headers["HX-Trigger"] = _message("problem", error.message)
    return response


def _error_page(error: PaasError) -> str:
    return (
        "404.html" if error.status == 404 else "403.html" if error.status == 403 else "dashboard/problem.html"
    )


def _message(kind: str, text: str) -> str:
    return json.dumps({kind: text})


def gone_to(request: HttpRequest, url: str) -> HttpResponse:
    """Send the browser to another page after a change."""
    if by_htmx(request):
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return HttpResponseRedirect(url, status=303)


def changed(
    request: HttpRequest, url: str, template: str, context: Callable[[], dict[str, Any]], notice: str
) -> HttpResponse:
    """Answer a change: with the fragment that shows it and a notice, or with the page at `url`."""
    if not by_htmx(request):
        return HttpResponseRedirect(url, status=303)
    response = render(request, template, context())
    response.headers["HX-Trigger"] = _message("notice", notice)
    return response


def field(request: HttpRequest, name: str) -> str:
    """Return a form field as its author meant it: browsers send every line break as CR LF."""
    return request.POST.get(name, "").replace("\r\n", "\n")
