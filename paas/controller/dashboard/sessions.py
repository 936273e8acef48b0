"""Signing in and out.

In: e-mail and password.  Out: a session, or a sentence; guessing is slowed down per address and account.
"""

from __future__ import annotations

import hashlib

from django.contrib import auth
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from paas.controller.services import accounts
from paas.errors import PaasError, RateLimited, Unauthorized

ATTEMPTS = 10  # wrong passwords for one account from one address
PERIOD = 300  # seconds until they are forgotten
BACKEND = "django.contrib.auth.backends.ModelBackend"


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    after = _safe_next(request)
    if request.method != "POST":
        if request.user.is_authenticated:
            return HttpResponseRedirect(after)
        return render(request, "dashboard/login.html", {"next": after})
    email = request.POST.get("email", "").strip()
    try:
        _sign_in(request, email, request.POST.get("password", ""))
    except PaasError as error:
        context = {"next": after, "email": email, "problem": error.message}
        return render(request, "dashboard/login.html", context, status=error.status)
    return HttpResponseRedirect(after, status=303)


def _sign_in(request: HttpRequest, email: str, password: str) -> None:
    key = _attempts_key(request, email)
    if cache.get(key, 0) >= ATTEMPTS:
        minutes = PERIOD // 60
        raise RateLimited(f"Too many wrong passwords. Wait {minutes} minutes, then try again.")
    user = accounts.authenticate_password(email, password)
    if user is None:
        cache.add(key, 0, PERIOD)
        cache.incr(key)
        raise Unauthorized(
            "This e-mail address and password do not belong together. Check both and try again."
        )
    cache.delete(key)
    auth.login(request, user, backend=BACKEND)


def _attempts_key(request: HttpRequest, email: str) -> str:
    who = f"{request.META.get('REMOTE_ADDR', '')} {email.lower()}"
    return f"login:{hashlib.sha256(who.encode()).hexdigest()}"


def _safe_next(request: HttpRequest) -> str:
    """Return where to go after signing in; never to another site."""
    target = request.POST.get("next") or request.GET.get("next") or "/"
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if safe else "/"


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    auth.logout(request)
    return HttpResponseRedirect("/login", status=303)
