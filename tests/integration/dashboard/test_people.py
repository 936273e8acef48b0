"""People on the dashboard: collaborators of an app, accounts, and who did what."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from django.test import Client

from paas.controller.models import App, Collaborator, Event, User
from paas.controller.services import accounts
from paas.controller.services.config import set_config
from tests.e2e.dashboard import seed
from tests.integration.dashboard.conftest import HTMX

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

SHOP = "/dashboard/apps/shop"
USERS = "/dashboard/users"
OWN = {
    "rename": {"name": "store"},
    "collaborators": {"email": "tom@example.com"},
    "collaborators/remove": {"email": "tim@example.com"},
    "transfer": {"email": "tom@example.com"},
    "destroy": {"confirm": "shop"},
}
WORK = {
    "formation": {"type": "web", "quantity": "2"},
    "config": {"key": "B", "value": "2"},
    "maintenance": {"on": "1"},
    "domains": {"hostname": "www.example.com"},
}


def text(response: object) -> str:
    return response.content.decode()  # type: ignore[attr-defined]


@pytest.fixture
def people(user: User, other: User, admin: User, shop: App) -> dict[str, User | None]:
    made = {name: seed.make_user(f"{name}@example.com") for name in ("cleo", "tim", "tom")}
    for name in ("cleo", "tim"):
        Collaborator.objects.create(app=shop, user=made[name])
    return {"anonymous": None, "other": other, "collaborator": made["cleo"], "owner": user, "admin": admin}


@pytest.mark.parametrize("who", ["anonymous", "other", "collaborator", "owner", "admin"])
@pytest.mark.parametrize("action", [*WORK, *OWN])
def test_who_may_what(
    action: str, who: str, people: dict[str, User | None], client_of: Callable[..., Client]
) -> None:
    before = Event.objects.count()
    response = client_of(people[who]).post(f"{SHOP}/{action}", {**WORK, **OWN}[action], headers=HTMX)
    refused = {"anonymous": 401, "other": 404} | ({"collaborator": 403} if action in OWN else {})
    assert response.status_code == refused.get(who, response.status_code)
    assert (response.status_code < 400) == (who not in refused), text(response)
    assert (Event.objects.count() > before) == (who not in refused)


class TestSettings:
    def test_a_collaborator_sees_who_works_there_and_can_leave(
        self, people: dict[str, User | None], client_of: Callable[..., Client]
    ) -> None:
        client = client_of(people["collaborator"])
        page = text(client.get(f"{SHOP}/settings"))
        assert all(email in page for email in ("ines@example.com", "cleo@example.com", "tim@example.com"))
        assert page.count("collaborators/remove") == 2, (
            "one form, to leave: its action with and without script"
        )
        assert "Leave" in page
        for hidden in ("Rename</button>", "Destroy shop", "Transfer</button>", 'id="collaborator"'):
            assert hidden not in page
        left = client.post(f"{SHOP}/collaborators/remove", {"email": "cleo@example.com"}, headers=HTMX)
        assert left["HX-Redirect"] == "/"
        assert client.get(SHOP).status_code == 404

    def test_the_owner_adds_removes_and_transfers(self, client: Client, other: User, shop: App) -> None:
        added = client.post(f"{SHOP}/collaborators", {"email": " OTTO@example.com"}, headers=HTMX)
        assert "otto@example.com" in text(added) and 'id="people"' in text(added)
        assert "can work on shop" in json.loads(added["HX-Trigger"])["notice"]
        unknown = client.post(f"{SHOP}/collaborators", {"email": "nobody@example.com"}, headers=HTMX)
        assert unknown.status_code == 404 and "no account for nobody@example.com" in text(unknown)
        empty = client.post(f"{SHOP}/transfer", {"email": " "}, headers=HTMX)
        assert empty.status_code == 422
        moved = client.post(f"{SHOP}/transfer", {"email": other.email}, headers=HTMX)
        assert moved["HX-Redirect"] == f"{SHOP}/settings"
        assert App.objects.get().owner == other
        page = text(client.get(f"{SHOP}/settings"))
        assert "Transfer</button>" not in page and "Leave" in page


class TestUsers:
    def test_an_invitation_shows_its_password_once(
        self, admin: User, client_of: Callable[..., Client]
    ) -> None:
        client = client_of(admin)
        form = {"email": "new@example.com", "name": "Nora", "admin": ""}
        made = client.post(f"{USERS}/invite", form, headers=HTMX)
        password = re.search(r'id="fresh-password">([^<]+)', text(made))[1]  # type: ignore[index]
        assert made["Cache-Control"] == "no-store"
        page = text(client.get(USERS))
        assert password not in page and "new@example.com" in page and ">invited<" in page
        assert accounts.authenticate_password("new@example.com", password)
        again = client.post(f"{USERS}/invite", form, headers=HTMX)
        assert again.status_code == 409 and "already" in text(again)
        without_script = client.post(f"{USERS}/invite", {"email": "two@example.com"})
        assert "fresh-password" in text(without_script) and "<html" in text(without_script)

    def test_who_was_invited_chooses_a_password_before_anything_else(
        self, admin: User, client_of: Callable[..., Client]
    ) -> None:
        made = client_of(admin).post(f"{USERS}/invite", {"email": "new@example.com"}, headers=HTMX)
        password = re.search(r'id="fresh-password">([^<]+)', text(made))[1]  # type: ignore[index]
        client = client_of(None)
        client.post("/login", {"email": "new@example.com", "password": password})
        for path in ("/", USERS, f"{SHOP}"):
            assert client.get(path)["Location"] == "/dashboard/account"
        assert client.get("/", headers=HTMX)["HX-Redirect"] == "/dashboard/account"
        assert (
            client.post("/dashboard/account/tokens", {"description": "x"})["Location"] == "/dashboard/account"
        )
        assert not User.objects.get(email="new@example.com").tokens.exists()
        page = text(client.get("/dashboard/account"))
        assert "Choose your own password" in page and "API tokens" not in page
        same = {"old": password, "new": password, "again": password}
        assert client.post("/dashboard/account/password", same, headers=HTMX).status_code == 422
        new = "a password of mine"
        form = {"old": password, "new": new, "again": new}
        assert client.post("/dashboard/account/password", form, headers=HTMX)["HX-Redirect"] == "/"
        assert client.get("/").status_code == 200
        assert accounts.authenticate_password("new@example.com", new)

    def test_disabling_resetting_promoting_deleting(
        self,
        admin: User,
        user: User,
        other: User,
        client: Client,
        shop: App,
        client_of: Callable[..., Client],
    ) -> None:
        page = client_of(admin)
        path = f"{USERS}/{user.id}"
        assert "disabled" in text(page.post(f"{path}/active", {"on": "0"}, headers=HTMX))
        assert client.get("/").status_code == 302
        page.post(f"{path}/active", {"on": "1"}, headers=HTMX)
        assert client.get("/").status_code == 200
        reset = page.post(f"{path}/reset", headers=HTMX)
        assert reset["Cache-Control"] == "no-store" and "fresh-password" in text(reset)
        assert client.get("/").status_code == 302
        page.post(f"{path}/admin", {"on": "1"}, headers=HTMX)
        assert User.objects.get(id=user.id).is_admin
        owns = page.post(f"{path}/delete", headers=HTMX)
        assert owns.status_code == 409 and "owns apps" in text(owns)
        page.post(f"{USERS}/{other.id}/delete", headers=HTMX)
        assert not User.objects.filter(id=other.id).exists()
        assert page.post(f"{USERS}/{other.id}/delete", headers=HTMX).status_code == 404

    def test_the_last_admin_stays_and_one_of_two_can_go(
        self, admin: User, user: User, client_of: Callable[..., Client]
    ) -> None:
        client = client_of(admin)
        path = f"{USERS}/{admin.id}"
        for action, form in (("active", {"on": "0"}), ("admin", {"on": "0"}), ("delete", {})):
            refused = client.post(f"{path}/{action}", form, headers=HTMX)
            assert refused.status_code == 409 and "last admin" in text(refused)
        client.post(f"{USERS}/{user.id}/admin", {"on": "1"}, headers=HTMX)
        assert client.post(f"{path}/admin", {"on": "0"}, headers=HTMX)["HX-Redirect"] == "/"
        assert client.get(USERS).status_code == 403


class TestTrail:
    def test_the_activity_of_an_app_names_who_did_what(self, client: Client, other: User, shop: App) -> None:
        client.post(f"{SHOP}/collaborators", {"email": other.email}, headers=HTMX)
        set_config(other, shop, {"SECRET": "hunter3"})
        for path in (f"{SHOP}/activity", f"{SHOP}/activity/events"):
            page = text(client.get(path))
            assert "<b>ines@example.com</b> added otto@example.com as a collaborator" in page
            assert "<b>otto@example.com</b> changed config vars: v4" in page
            assert "hunter" not in page

    def test_the_trail_is_everything_and_can_be_searched(
        self, admin: User, user: User, other: User, shop: App, client_of: Callable[..., Client]
    ) -> None:
        client = client_of(admin)
        _, plain = accounts.create_token(other, "<b>laptop</b>")
        set_config(user, shop, {"SECRET": "hunter3"})
        page = text(client.get("/dashboard/audit"))
        assert "made an API token “&lt;b&gt;laptop&lt;/b&gt;”" in page
        assert f'href="{SHOP}/activity/events">shop</a>' in page
        assert plain not in page and "hunter3" not in page and seed.PASSWORD not in page
        found = text(client.get("/dashboard/audit", {"q": "otto@"}))
        assert "laptop" in found and "changed config vars" not in found
        assert "Nothing has “no such” in it" in text(client.get("/dashboard/audit", {"q": "no such"}))
        assert client.get("/dashboard/audit", {"q": "\0", "page": "9"}).status_code == 200

    def test_a_page_costs_the_same_for_many_events(
        self, admin: User, shop: App, client_of: Callable[..., Client], django_assert_max_num_queries: object
    ) -> None:
        for number in range(60):
            accounts.create_token(admin, f"token {number}")
        client = client_of(admin)
        with django_assert_max_num_queries(6):  # type: ignore[operator]
            page = text(client.get("/dashboard/audit"))
        assert "Page 1 of 2" in page and "token 59" in page
        assert "token 0”" in text(client.get("/dashboard/audit", {"page": "2"}))
