"""The accounts of the platform, for admins.

In: forms.  Out: rows, through the services; a password that was made for somebody is in one answer and nowhere else.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from paas.controller.dashboard.doors import Request, by_htmx, changed, field, gone_to, of_admin
from paas.controller.models import User
from paas.controller.selectors.users import find_user, users
from paas.controller.services import users as service

PAGE = "dashboard/users.html"
TABLE = "dashboard/partials/users.html"
PER_PAGE = 100


def _context(request: Request, fresh: User | None = None, password: str = "") -> dict[str, Any]:
    page = Paginator(users(), PER_PAGE).get_page(request.GET.get("page"))
    return {"page": page, "fresh": fresh, "password": password, "nav": "users"}


@of_admin("GET")
def page(request: Request) -> HttpResponse:
    return render(request, PAGE, _context(request))


@of_admin("POST")
def invite(request: Request) -> HttpResponse:
    email, name = field(request, "email").strip(), field(request, "name")
    made = service.invite_user(request.user, email, name=name, is_admin=field(request, "admin") == "1")
    return _shown_once(request, *made)


@of_admin("POST")
def reset(request: Request, user_id: UUID) -> HttpResponse:
    return _shown_once(request, *service.reset_password(request.user, find_user(str(user_id))))


def _shown_once(request: Request, user: User, password: str) -> HttpResponse:
    """Answer with the password itself: a redirect would have to keep it somewhere."""
    response = render(request, TABLE if by_htmx(request) else PAGE, _context(request, user, password))
    response.headers["Cache-Control"] = "no-store"
    return response


@of_admin("POST")
def active(request: Request, user_id: UUID) -> HttpResponse:
    on = field(request, "on") == "1"
    user = service.set_active(request.user, find_user(str(user_id)), on)
    return _changed(request, user, f"{user.email} is {'enabled' if on else 'disabled; their apps run on'}.")


@of_admin("POST")
def admin(request: Request, user_id: UUID) -> HttpResponse:
    on = field(request, "on") == "1"
    user = service.set_admin(request.user, find_user(str(user_id)), on)
    return _changed(request, user, f"{user.email} is {'an admin now' if on else 'no longer an admin'}.")


@of_admin("POST")
def delete(request: Request, user_id: UUID) -> HttpResponse:
    user = service.delete_user(request.user, find_user(str(user_id)))
    return _changed(request, user, f"The account of {user.email} is deleted.")


def _changed(request: Request, user: User, notice: str) -> HttpResponse:
    if user.id == request.user.id:  # an admin who is none any more has no business on this page
        return gone_to(request, reverse("dashboard:home"))
    return changed(request, reverse("dashboard:users"), TABLE, lambda: _context(request), notice)
