"""People through the API: who may what, and Heroku's shapes of collaborators and transfers."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from django.test import Client

from paas.controller.models import App, Collaborator, Event, User
from paas.controller.services.accounts import create_token

from .conftest import ACCEPT, PASSWORD, Answer, Api, make_api

pytestmark = pytest.mark.integration

WHO = ("anonymous", "other", "collaborator", "owner", "admin")
CALLS: dict[str, tuple[str, str, Any]] = {
    "see": ("GET", "/apps/shop", None),
    "config": ("GET", "/apps/shop/config-vars", None),
    "set config": ("PATCH", "/apps/shop/config-vars", {"A": "1"}),
    "build": ("GET", "/apps/shop/builds", None),
    "sources": ("POST", "/apps/shop/sources", {}),
    "maintenance": ("PATCH", "/apps/shop", {"maintenance": True}),
    "access": ("GET", "/apps/shop/collaborators", None),
    "one access": ("GET", "/apps/shop/collaborators/cleo@example.com", None),
    "rename": ("PATCH", "/apps/shop", {"name": "store"}),
    "add": ("POST", "/apps/shop/collaborators", {"user": "tom@example.com"}),
    "remove": ("DELETE", "/apps/shop/collaborators/tim@example.com", None),
    "transfer": ("POST", "/account/app-transfers", {"app": "shop", "recipient": "tom@example.com"}),
    "destroy": ("DELETE", "/apps/shop", None),
    "users": ("GET", "/users", None),
    "one user": ("GET", "/users/tom@example.com", None),
    "invite": ("POST", "/users", {"email": "new@example.com"}),
    "disable": ("PATCH", "/users/tom@example.com", {"active": False}),
    "promote": ("PATCH", "/users/tom@example.com", {"admin": True}),
    "reset": ("PATCH", "/users/tom@example.com", {"reset_password": True}),
    "delete": ("DELETE", "/users/tom@example.com", None),
}
WORK = {"see", "config", "set config", "build", "sources", "maintenance", "access", "one access"}
OWN = {"rename", "add", "remove", "transfer", "destroy"}
MANAGE = set(CALLS) - WORK - OWN
MAKES = {"sources", "add", "transfer", "invite"}


def expected(who: str, action: str) -> int:
    """Return the status that somebody gets: 404 for an app that is not theirs to see, 403 for what others decide."""
    if who == "anonymous":
        return 401
    if action in MANAGE and who != "admin":
        return 403
    if action not in MANAGE and who == "other":
        return 404
    if action in OWN and who == "collaborator":
        return 403
    return 201 if action in MAKES else 200


@pytest.fixture
def people(api: Api, stranger: Api, app: App) -> dict[str, Api]:
    made = {
        "anonymous": Api(api.user, ""),
        "other": stranger,
        "collaborator": make_api("cleo@example.com"),
        "owner": api,
        "admin": make_api("root@example.com", is_admin=True),
    }
    make_api("tom@example.com")
    for one in (made["collaborator"].user, make_api("tim@example.com").user):
        Collaborator.objects.create(app=app, user=one)
    return made


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("action", CALLS)
def test_who_may_what(people: dict[str, Api], action: str, who: str) -> None:
    method, path, body = CALLS[action]
    headers = {"Authorization": ""} if who == "anonymous" else {}
    before = Event.objects.count()
    answer = people[who].call(method, path, body, **headers)
    assert answer.status == expected(who, action), answer.body
    if answer.status >= 400:
        assert answer.body["id"] and answer.body["message"].endswith(".")
        assert Event.objects.count() == before


def test_no_is_said_in_words(people: dict[str, Api]) -> None:
    for action in ("destroy", "rename", "transfer"):
        message = people["collaborator"].call(*CALLS[action]).body["message"]
        assert message.startswith("Only the owner of shop (ada@example.com) or an admin can")


class TestCollaborators:
    def test_they_come_and_go(self, api: Api, stranger: Api, app: App) -> None:
        made = api.post("/apps/shop/collaborators", {"user": "Eve@example.com", "silent": True})
        assert (made.status, made.body["user"]["email"], made.body["role"], made.body["app"]["name"]) == (
            201,
            "eve@example.com",
            "collaborator",
            "shop",
        )
        assert stranger.get("/apps/shop").status == 200
        for identity in ("eve@example.com", made.body["id"], made.body["user"]["id"]):
            assert api.get(f"/apps/shop/collaborators/{identity}").body == made.body
        assert api.delete("/apps/shop/collaborators/eve%40example.com").body == made.body
        assert stranger.get("/apps/shop").status == 404
        assert api.delete("/apps/shop/collaborators/eve@example.com").status == 404

    @pytest.mark.parametrize("shape", ["email", "id"])
    def test_an_account_is_named_by_an_object_too(
        self, api: Api, stranger: Api, app: App, shape: str
    ) -> None:
        body = {"user": {shape: str(getattr(stranger.user, shape))}}
        assert api.post("/apps/shop/collaborators", body).status == 201

    @pytest.mark.parametrize("user", [None, "", 7, {}, [], {"email": 7}])
    def test_nobody_is_refused(self, api: Api, app: App, user: object) -> None:
        assert api.post("/apps/shop/collaborators", {"user": user}).status == 422
        assert api.post("/apps/shop/collaborators", {}).status == 422

    def test_leaving(self, api: Api, stranger: Api, app: App) -> None:
        Collaborator.objects.create(app=app, user=stranger.user)
        assert stranger.delete("/apps/shop/collaborators/eve@example.com").status == 200
        assert stranger.get("/apps/shop").status == 404
        refused = api.delete("/apps/shop/collaborators/ada@example.com")
        assert refused.status == 422 and "paas transfer" in refused.body["message"]

    def test_a_token_that_deploys_lets_nobody_in(self, api: Api, stranger: Api, app: App) -> None:
        limited = Api(api.user, create_token(api.user, scope=["write-protected"])[1])
        assert limited.get("/apps/shop/collaborators").status == 200
        assert limited.post("/apps/shop/collaborators", {"user": "eve@example.com"}).status == 403
        transfer = {"app": "shop", "recipient": "eve@example.com"}
        assert limited.post("/account/app-transfers", transfer).status == 403
        assert not Collaborator.objects.exists()


class TestTransfer:
    def test_it_is_accepted_at_once(self, api: Api, stranger: Api, app: App) -> None:
        made = api.post(
            "/account/app-transfers", {"app": {"id": str(app.id)}, "recipient": "eve@example.com"}
        )
        assert (made.status, made.body["state"]) == (201, "accepted")
        assert (made.body["owner"]["email"], made.body["recipient"]["email"]) == (
            "ada@example.com",
            "eve@example.com",
        )
        assert stranger.get("/apps/shop").body["owner"]["email"] == "eve@example.com"
        roles = [(one["user"]["email"], one["role"]) for one in api.get("/apps/shop/collaborators").body]
        assert roles == [("eve@example.com", "owner"), ("ada@example.com", "collaborator")]
        assert api.get("/account/app-transfers").body == []

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"app": "shop"},
            {"recipient": "eve@example.com"},
            {"app": 1, "recipient": "x"},
            {"app": "shop", "recipient": []},
        ],
    )
    def test_half_a_request_changes_nothing(self, api: Api, app: App, body: dict[str, object]) -> None:
        assert api.post("/account/app-transfers", body).status == 422
        assert App.objects.get().owner == api.user


@pytest.fixture
def admin(stack: object) -> Api:
    return make_api("root@example.com", is_admin=True)


class TestUsers:
    def test_they_are_listed_and_shown(self, admin: Api, app: App) -> None:
        listed = admin.get("/users").body
        assert [(one["email"], one["apps"], one["admin"]) for one in listed] == [
            ("ada@example.com", 1, False),
            ("root@example.com", 0, True),
        ]
        assert "password" not in listed[0]
        assert admin.get(f"/users/{listed[0]['id']}").body == listed[0]
        assert admin.get("/users/ADA@example.com").body == listed[0]
        assert admin.get("/users/nobody@example.com").status == 404
        page = admin.get("/users", Range="email ..; max=1")
        assert (page.status, len(page.body)) == (206, 1)

    def test_me_is_still_me(self, api: Api) -> None:
        assert api.get("/users/~").body["email"] == "ada@example.com"

    def test_an_invitation_leads_to_a_token_and_its_password_to_nothing_else(self, admin: Api) -> None:
        made = admin.post("/users", {"email": "new@example.com", "name": "Nora"})
        assert (made.status, made.body["invited"], made.headers["Cache-Control"]) == (201, True, "no-store")
        password = made.body["password"]
        refused = basic("POST", "/oauth/authorizations", "new@example.com", password)
        assert (refused.status, refused.body["id"]) == (403, "password_temporary")
        assert basic("GET", "/account", "new@example.com", password).status == 401
        assert basic("PATCH", "/account", "new@example.com", password, {"name": "N"}).status == 401
        change = {"password": password, "new_password": "a password of mine"}
        assert basic("PATCH", "/account", "new@example.com", "wrong", change).status == 401
        assert basic("PATCH", "/account", "new@example.com", password, change).status == 200
        token = basic("POST", "/oauth/authorizations", "new@example.com", "a password of mine")
        assert token.status == 201
        shown = admin.get("/users/new@example.com").body
        assert (shown["invited"], shown["name"]) == (False, "Nora")

    def test_disabling_stops_the_token_at_once_and_enabling_brings_it_back(
        self, admin: Api, api: Api, app: App
    ) -> None:
        assert admin.patch("/users/ada@example.com", {"active": False}).body["active"] is False
        assert api.get("/apps/shop").status == 401
        assert basic("POST", "/oauth/authorizations", "ada@example.com", PASSWORD).status == 401
        assert admin.get("/apps/shop").status == 200
        assert admin.patch("/users/ada@example.com", {"active": True}).body["password"] is None
        assert api.get("/apps/shop").status == 200

    def test_a_reset_shows_a_password_once(self, admin: Api, api: Api) -> None:
        password = admin.patch("/users/ada@example.com", {"reset_password": True}).body["password"]
        assert basic("POST", "/oauth/authorizations", "ada@example.com", PASSWORD).status == 401
        refused = basic("POST", "/oauth/authorizations", "ada@example.com", password)
        assert refused.body["id"] == "password_temporary"
        assert api.get("/account").status == 200, "tokens stay good"

    @pytest.mark.parametrize(
        "body",
        [{}, {"active": True, "admin": True}, {"reset_password": False}, {"active": "perhaps"}, {"x": 1}],
    )
    def test_one_change_at_a_time(self, admin: Api, api: Api, body: dict[str, object]) -> None:
        assert admin.patch("/users/ada@example.com", body).status == 422

    def test_the_last_admin_stays(self, admin: Api) -> None:
        for answer in (
            admin.patch("/users/root@example.com", {"active": False}),
            admin.patch("/users/root@example.com", {"admin": False}),
            admin.delete("/users/root@example.com"),
        ):
            assert (answer.status, answer.body["id"]) == (409, "conflict")
            assert "last admin" in answer.body["message"]
        assert User.objects.get().is_active

    def test_who_owns_apps_is_not_deleted(self, admin: Api, app: App) -> None:
        assert admin.delete("/users/ada@example.com").status == 409
        admin.post("/account/app-transfers", {"app": "shop", "recipient": "root@example.com"})
        assert admin.delete("/users/ada@example.com").body["email"] == "ada@example.com"
        assert not Collaborator.objects.exists()

    @pytest.mark.parametrize("email", ["", "x", "a b@example.com", f"{'a' * 250}@example.com"])
    def test_what_is_no_address_is_refused(self, admin: Api, email: str) -> None:
        assert admin.post("/users", {"email": email}).status == 422
        assert admin.post("/users", {"email": "root@example.com"}).status == 409


def test_a_wrong_current_password_is_no_wrong_token_and_cannot_be_guessed(api: Api) -> None:
    change = {"password": "guess", "new_password": "a password of mine"}
    answers = [api.patch("/account", change).status for _ in range(11)]
    assert answers == [422] * 10 + [429]
    assert api.get("/account").status == 200


def basic(method: str, path: str, email: str, password: str, body: Any = None) -> Answer:
    """Call with e-mail address and password."""
    credentials = base64.b64encode(f"{email}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "Accept": ACCEPT}
    content = "" if body is None else json.dumps(body)
    response = Client().generic(method, path, content, content_type="application/json", headers=headers)
    return Answer(response.status_code, response.json(), response.headers)
