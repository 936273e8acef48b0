"""The commands about people against a real HTTP server: what they ask and what they print."""

from __future__ import annotations

import base64
import io
import sys
from typing import Any

import pytest

from .conftest import Asked, Paas, Platform

pytestmark = pytest.mark.unit

OWNER = {
    "user": {"email": "ada@example.com"},
    "role": "owner",
    "created_at": "2026-01-01T00:00:00Z",
    "app": {"name": "shop"},
}
EVE = {**OWNER, "user": {"email": "eve@example.com"}, "role": "collaborator"}
USER = {
    "email": "eve@example.com",
    "admin": False,
    "active": True,
    "invited": True,
    "apps": 2,
    "last_login": None,
    "created_at": "2026-01-01T00:00:00Z",
    "password": None,
}


def stdin(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8"))


def test_who_works_on_an_app(platform: Platform, paas: Paas) -> None:
    platform.answer("GET", "/apps/shop/collaborators", [OWNER, EVE])
    lines = paas("access", "-a", "shop").out.splitlines()
    assert lines[0].split() == ["EMAIL", "ROLE", "SINCE"]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["ada@example.com", "owner"],
        ["eve@example.com", "collaborator"],
    ]
    assert paas("access", "-a", "shop", "--json").json == [OWNER, EVE]


def test_adding_removing_and_giving_away(platform: Platform, paas: Paas) -> None:
    platform.answer("POST", "/apps/shop/collaborators", EVE, 201)
    assert (
        paas("access:add", "eve@example.com", "-a", "shop").out == "eve@example.com can work on shop now.\n"
    )
    assert platform.last.body == {"user": "eve@example.com"}
    platform.answer("DELETE", "/apps/shop/collaborators/eve%40example.com", EVE)
    assert "no longer" in paas("access", "remove", "eve@example.com", "-a", "shop").out
    moved = {
        "app": {"name": "shop"},
        "owner": {"email": "ada@example.com"},
        "recipient": {"email": "eve@example.com"},
    }
    platform.answer("POST", "/account/app-transfers", moved, 201)
    for words in ("transfer", "apps:transfer"):
        done = paas(words, "eve@example.com", "-a", "shop")
        assert "belongs to eve@example.com now" in done.out
        assert platform.last.body == {"app": "shop", "recipient": "eve@example.com"}
    assert paas("transfer", "eve@example.com", "-a", "shop", "--json").json == moved


def test_the_accounts(platform: Platform, paas: Paas) -> None:
    rows = [USER, {**USER, "active": False}, {**USER, "invited": False, "admin": True}]
    platform.answer("GET", "/users", rows)
    lines = paas("users").out.splitlines()[1:]
    assert [line.split()[1:4] for line in lines] == [
        ["member", "invited", "2"],
        ["member", "disabled", "2"],
        ["admin", "active", "2"],
    ]
    assert paas("users", "--json").json == rows


@pytest.mark.parametrize("admin", [True, False])
def test_an_invitation_shows_its_password(platform: Platform, paas: Paas, admin: bool) -> None:
    platform.answer("POST", "/users", {**USER, "password": "once-only"}, 201)
    done = paas("users:add", "eve@example.com", "--name", "Eve", *(["--admin"] if admin else []))
    assert platform.last.body == {"email": "eve@example.com", "admin": admin, "name": "Eve"}
    assert "shown only now: once-only" in done.out
    assert f"paas login --url {platform.url} --email eve@example.com" in done.out


@pytest.mark.parametrize(
    ("words", "body"),
    [
        ("users:disable", {"active": False}),
        ("users:enable", {"active": True}),
        ("users:promote", {"admin": True}),
        ("users:demote", {"admin": False}),
        ("users:reset", {"reset_password": True}),
    ],
)
def test_changing_an_account(platform: Platform, paas: Paas, words: str, body: dict[str, bool]) -> None:
    answer = {**USER, "password": "once-only" if "reset_password" in body else None}
    platform.answer("PATCH", "/users/eve%40example.com", answer)
    done = paas(words, "eve@example.com")
    assert (done.code, platform.last.body) == (0, body)
    assert "eve@example.com" in done.out
    assert ("once-only" in done.out) == ("reset_password" in body)
    assert paas(words, "eve@example.com", "--json").json == answer


def test_deleting_an_account(platform: Platform, paas: Paas) -> None:
    platform.answer("DELETE", "/users/eve%40example.com", USER)
    assert paas("users:remove", "eve@example.com").out == "Deleted the account of eve@example.com.\n"


class TestPassword:
    def test_from_two_lines(self, platform: Platform, paas: Paas, monkeypatch: pytest.MonkeyPatch) -> None:
        platform.answer("PATCH", "/account", {"email": "ada@example.com"})
        stdin(monkeypatch, "old pässword\nnew password \n")
        done = paas("password", "--stdin")
        assert done.out == "The password of ada@example.com is changed.\n"
        assert platform.last.body == {"password": "old pässword", "new_password": "new password "}
        stdin(monkeypatch, "only one\n")
        assert paas("password", "--stdin").code == 2

    def test_after_an_invitation_one_of_your_own_is_chosen(
        self, platform: Platform, paas: Paas, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("PAAS_TOKEN")
        invited(platform)
        stdin(monkeypatch, "one-time\nmy own password\n")
        done = paas("login", "--email", "eve@example.com", "--password-stdin")
        assert (done.code, done.out) == (0, f"Logged in to {platform.url} as eve@example.com.\n")
        (change,) = [one for one in platform.asked if one.method == "PATCH"]
        assert password_of(change) == "one-time"
        assert change.body == {"password": "one-time", "new_password": "my own password"}

    def test_without_one_it_is_said(
        self, platform: Platform, paas: Paas, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("PAAS_TOKEN")
        invited(platform)
        stdin(monkeypatch, "one-time\n")
        done = paas("login", "--email", "eve@example.com", "--password-stdin")
        assert (done.code, done.err) == (1, " !    Choose your own.\n")
        assert [one.method for one in platform.asked] == ["POST"]


def invited(platform: Platform) -> None:
    """Answer as for an account whose password has to be replaced first."""
    refusal = {"id": "password_temporary", "message": "Choose your own."}
    platform.answer("POST", "/oauth/authorizations", refusal, 403)
    platform.answer("GET", "/account", {"email": "eve@example.com", "git_url": "http://git.test:5001"})

    def replace(asked: Asked) -> Any:
        platform.answer("POST", "/oauth/authorizations", {"access_token": {"token": "tok-1"}}, 201)
        return {"email": "eve@example.com"}

    platform.answer("PATCH", "/account", replace)


def password_of(asked: Asked) -> str:
    encoded = asked.headers["Authorization"].removeprefix("Basic ")
    return base64.b64decode(encoded).decode().partition(":")[2]
