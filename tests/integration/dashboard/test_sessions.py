"""Signing in and out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from paas.controller.dashboard.sessions import ATTEMPTS
from paas.controller.models import User
from tests.e2e.dashboard.seed import PASSWORD

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture
def stranger(client_of: Callable[..., Client]) -> Client:
    return client_of(None)


def sign_in(client: Client, email: str, password: str = PASSWORD, after: str = "/") -> object:
    return client.post("/login", {"email": email, "password": password, "next": after})


def test_signing_in_leads_to_where_one_was_going(stranger: Client, user: User) -> None:
    response = sign_in(stranger, f" {user.email.upper()} ", after="/dashboard/account?x=1")
    assert (response.status_code, response["Location"]) == (303, "/dashboard/account?x=1")
    assert stranger.get("/dashboard/account").status_code == 200


@pytest.mark.parametrize(
    "after",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "",
        "http:evil.example",
    ],
)
def test_never_to_another_site(stranger: Client, user: User, after: str) -> None:
    assert sign_in(stranger, user.email, after=after)["Location"] == "/"


def test_a_wrong_password_keeps_the_address_and_says_so(stranger: Client, user: User) -> None:
    response = sign_in(stranger, user.email, "wrong")
    assert response.status_code == 401
    assert user.email.encode() in response.content
    assert b"do not belong together" in response.content
    assert b"wrong" not in response.content
    assert stranger.get("/").status_code == 302


def test_guessing_is_stopped_and_others_are_not(stranger: Client, user: User, other: User) -> None:
    for _ in range(ATTEMPTS):
        assert sign_in(stranger, user.email, "wrong").status_code == 401
    response = sign_in(stranger, user.email)
    assert response.status_code == 429
    assert b"Wait 5 minutes" in response.content
    assert sign_in(stranger, other.email).status_code == 303


def test_an_account_that_is_switched_off_gets_no_session(stranger: Client, user: User) -> None:
    User.objects.filter(id=user.id).update(is_active=False)
    assert sign_in(stranger, user.email).status_code == 401


def test_switching_an_account_off_ends_its_sessions(client: Client, user: User) -> None:
    assert client.get("/").status_code == 200
    User.objects.filter(id=user.id).update(is_active=False)
    assert client.get("/").status_code == 302


def test_the_login_form_needs_its_token(client_of: Callable[..., Client], user: User) -> None:
    assert sign_in(client_of(None, enforce_csrf_checks=True), user.email).status_code == 403


def test_signing_out_needs_a_form(client: Client) -> None:
    assert client.get("/logout").status_code == 405
    assert client.post("/logout")["Location"] == "/login"
    assert client.get("/").status_code == 302


def test_who_is_signed_in_does_not_see_the_form_again(client: Client) -> None:
    assert client.get("/login")["Location"] == "/"
