"""One's own account: API tokens and password.

In: forms.  Out: a new token once, in plain; rows otherwise.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth import update_session_auth_hash
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters

from paas.controller.dashboard.doors import Request, changed, field, gone_to, signed_in
from paas.controller.services import accounts
from paas.errors import InvalidParams, PaasError

TOKENS = "dashboard/partials/tokens.html"
DAY = 86400


def _tokens(request: Request, plain: str = "") -> dict[str, Any]:
    return {"tokens": request.user.tokens.order_by("-created_at"), "plain": plain, "nav": "account"}


@signed_in("GET", temporary=True)
def page(request: Request) -> HttpResponse:
    return render(request, "dashboard/account.html", _tokens(request))


@signed_in("POST")
def create_token(request: Request) -> HttpResponse:
    """Make a token. Its plain text is in this one answer and nowhere else, so there is no redirect to follow."""
    days = field(request, "days")
    if days and not days.isdigit():
        raise InvalidParams("Choose for how many days the token is good.")
    expires_in = int(days) * DAY if days else None
    _, plain = accounts.create_token(request.user, field(request, "description").strip(), expires_in)
    template = TOKENS if request.headers.get("HX-Request") else "dashboard/account.html"
    response = render(request, template, _tokens(request, plain))
    response.headers["Cache-Control"] = "no-store"
    return response


@signed_in("POST")
def revoke_token(request: Request, token_id: UUID) -> HttpResponse:
    token = accounts.revoke_token(request.user, token_id)
    notice = f"The token {token.description or token.id} no longer works."
    return changed(request, reverse("dashboard:account"), TOKENS, lambda: _tokens(request), notice)


@sensitive_post_parameters()
@signed_in("POST", temporary=True)
def password(request: Request) -> HttpResponse:
    """Change the password; this session goes on, others end."""
    new = request.POST.get("new", "")
    if new != request.POST.get("again", ""):
        raise InvalidParams("The new password and its repetition differ; nothing was changed.")
    invited = request.user.password_temporary
    try:
        accounts.change_password(request.user, request.POST.get("old", ""), new)
    except PaasError as error:
        # 401 would send the browser to the login page; the session itself is fine.
        raise InvalidParams(error.message) from error
    request.user.refresh_from_db()
    update_session_auth_hash(request, request.user)
    if invited:
        return gone_to(request, reverse("dashboard:home"))
    template = "dashboard/partials/password.html"
    notice = "Your password is changed. Other browsers have to sign in again."
    return changed(request, reverse("dashboard:account"), template, dict, notice)
