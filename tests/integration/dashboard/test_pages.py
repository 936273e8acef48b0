"""What the pages show and what their forms change."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from paas.controller.models import App, Build, Instance, Token, User
from paas.controller.selectors.config import config_vars
from paas.controller.selectors.formation import formation
from paas.controller.selectors.releases import newest_release
from paas.controller.services.accounts import authenticate_token
from tests.e2e.dashboard import seed
from tests.integration.dashboard.conftest import HTMX, deployed

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

SHOP = "/dashboard/apps/shop"


def text(response: object) -> str:
    return response.content.decode()  # type: ignore[attr-defined]


# Home


def test_creating_the_first_app_shows_the_lines_that_deploy_it(client: Client) -> None:
    seed.make_stack()
    assert "live in four lines" in text(client.get("/"))
    created = client.post("/dashboard/apps", {"name": "notes"}, headers=HTMX)
    assert created["HX-Redirect"] == "/dashboard/apps/notes"
    page = text(client.get(created["HX-Redirect"]))
    assert "git remote add paas http://localhost:5001/notes.git\ngit push paas main" in page
    assert "live in four lines" not in text(client.get("/"))


def test_a_name_that_is_taken_is_said_in_the_form(client: Client, other: User) -> None:
    deployed(other, "taken")
    response = client.post("/dashboard/apps", {"name": "taken"}, headers=HTMX)
    assert response.status_code == 422
    assert "already taken" in text(response)


def test_home_lists_my_apps_only_and_finds_them(client: Client, user: User, other: User) -> None:
    for name in ("shop", "shipping", "blog"):
        deployed(user, name)
    deployed(other, "shadow")
    page = text(client.get("/"))
    assert all(f'id="app-{name}"' in page for name in ("shop", "shipping", "blog"))
    assert "shadow" not in page
    found = text(client.get("/", {"q": "SH"}))
    assert 'id="app-shop"' in found
    assert 'id="app-blog"' not in found
    assert "No app has" in text(client.get("/", {"q": "sha"}))


def test_home_says_how_each_app_is(client: Client, shop: App) -> None:
    assert re.search(r'state good">healthy</span>\s*<span class="muted">1/1', text(client.get("/")))
    Instance.objects.filter(app=shop).update(state="crashed")
    assert 'state bad">down' in text(client.get("/"))
    seed.make_build(shop, "failed", timedelta(0), "5ad1f00d", "Next")
    assert 'outcome failed">failed' in text(client.get("/"))


def test_home_costs_the_same_for_many_apps(client: Client, user: User) -> None:
    deployed(user, "one")
    with CaptureQueriesContext(
        connection,
    ) as few:
        client.get("/")
    for number in range(6):
        deployed(user, f"more-{number}")
    with CaptureQueriesContext(connection) as many:
        client.get("/")
    assert len(many) == len(few)


def test_an_unchanged_home_is_not_sent_again(client: Client, shop: App) -> None:
    seen = re.search(r"seen=(\w+)", text(client.get("/")))[1]  # type: ignore[index]
    assert client.get("/", {"q": "", "page": 1, "seen": seen}, headers=HTMX).status_code == 204
    Instance.objects.filter(app=shop).update(state="crashed")
    assert 'id="cards"' in text(client.get("/", {"q": "", "page": 1, "seen": seen}, headers=HTMX))


# Formation


def test_scaling(client: Client, shop: App) -> None:
    data = {"type": "web", "quantity": "3", "size": "standard-2x"}
    response = client.post(f"{SHOP}/formation", data, headers=HTMX)
    (row,) = formation(shop)
    assert (row.quantity, row.size) == (3, "standard-2x")
    assert "v4" in json.loads(response["HX-Trigger"])["notice"]
    assert re.search(r'id="quantity-web"[^>]*value="3"', text(response))
    assert App.objects.get(id=shop.id).current_release.version == 3  # until the new release is up


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"type": "web", "quantity": "many"}, "no quantity"),
        ({"type": "web", "quantity": "101"}, "0 to 100"),
        ({"type": "web", "quantity": ""}, "no quantity"),
        ({"type": "web", "quantity": "1", "size": "huge"}, "choose one of"),
        ({"type": "cron", "quantity": "1"}, "it has: web"),
        ({}, "it has: web"),
    ],
)
def test_scaling_to_nonsense(client: Client, shop: App, data: dict[str, str], words: str) -> None:
    response = client.post(f"{SHOP}/formation", data, headers=HTMX)
    assert response.status_code in {404, 422}
    assert words in text(response)
    assert newest_release(shop).version == 3


def test_restarting_one_instance(client: Client, shop: App) -> None:
    before = Instance.objects.get(app=shop).template
    response = client.post(f"{SHOP}/restart", {"name": "web.1"}, headers=HTMX)
    assert "1 instance is replaced" in json.loads(response["HX-Trigger"])["notice"]
    assert Instance.objects.get(app=shop).template != before
    assert client.post(f"{SHOP}/restart", {"name": "web.9"}, headers=HTMX).status_code == 404


def test_live_parts_come_only_when_they_differ(client: Client, shop: App) -> None:
    page = text(client.get(SHOP))
    seen, shape = re.search(r"seen=(\w+)&amp;shape=(\w+)", page).groups()  # type: ignore[union-attr]
    query = {"seen": seen, "shape": shape}
    assert client.get(f"{SHOP}/live", query, headers=HTMX).status_code == 204
    exit_info = {"reason": "exited", "code": 3, "signal": None, "at": 0.0, "message": ""}
    Instance.objects.filter(app=shop).update(state="crashed", restarts=2, last_exit=exit_info)
    parts = text(client.get(f"{SHOP}/live", query, headers=HTMX))
    assert "web.1</b> crashed" in parts
    assert "2 restarts" in parts
    assert "exited with status 3" in parts
    assert 'id="formation"' not in parts  # what somebody types there stays
    client.post(f"{SHOP}/formation", {"type": "web", "quantity": "2"})
    assert 'id="formation"' in text(client.get(f"{SHOP}/live", query, headers=HTMX))


# Config vars


def test_values_leave_the_server_only_when_asked_for(client: Client, shop: App) -> None:
    page = client.get(f"{SHOP}/config")
    assert "SECRET" in text(page)
    assert "hunter2" not in text(page)
    row = client.get(f"{SHOP}/config/SECRET", {"show": "value"}, headers=HTMX)
    assert "hunter2" in text(row)
    assert [answer["Cache-Control"] for answer in (page, row)] == ["no-store", "no-store"]
    assert "hunter2" in text(client.get(f"{SHOP}/config/SECRET", {"show": "value"}))  # without scripts


def test_saving_makes_a_release_and_keeps_every_character(client: Client, shop: App) -> None:
    response = client.post(
        f"{SHOP}/config", {"key": "KEY", "value": "\r\n-----BEGIN\r\n ü \r\n"}, headers=HTMX
    )
    assert config_vars(shop) == {"A": "1", "SECRET": "hunter2", "KEY": "\n-----BEGIN\n ü \n"}
    assert "without downtime" in json.loads(response["HX-Trigger"])["notice"]
    assert "hunter2" not in text(response)
    form = text(client.get(f"{SHOP}/config/KEY", {"show": "edit"}, headers=HTMX))
    # HTML drops the first line break of a textarea; the one of the value must be the second.
    assert ">\n\n-----BEGIN\n ü \n</textarea>" in form


def test_removing_a_config_var(client: Client, shop: App) -> None:
    client.post(f"{SHOP}/config/A/remove", headers=HTMX)
    assert config_vars(shop) == {"SECRET": "hunter2"}
    assert client.get(f"{SHOP}/config/A", headers=HTMX).status_code == 404


@pytest.mark.parametrize(
    ("key", "words"), [("1A", "cannot name"), ("", "cannot name"), ("PORT", "set by the platform")]
)
def test_config_vars_that_cannot_be(client: Client, shop: App, key: str, words: str) -> None:
    response = client.post(f"{SHOP}/config", {"key": key, "value": "x"}, headers=HTMX)
    assert response.status_code == 422
    assert words in text(response)
    assert newest_release(shop).version == 3


# Releases


def test_rolling_back(client: Client, shop: App) -> None:
    response = client.post(f"{SHOP}/releases/2/rollback", headers=HTMX)
    assert response["HX-Redirect"] == SHOP
    release = newest_release(shop)
    assert (release.version, release.description) == (4, "Rollback to v2")
    assert config_vars(shop) == {"A": "1"}
    assert "Rollback to v2" in text(client.get(SHOP))


def test_what_cannot_be_rolled_back_to_says_why(client: Client, shop: App) -> None:
    assert "no code to run" in text(client.post(f"{SHOP}/releases/1/rollback", headers=HTMX))
    assert client.post(f"{SHOP}/releases/77/rollback", headers=HTMX).status_code == 404


def test_the_ledger_offers_a_way_back_where_there_is_one(client: Client, shop: App) -> None:
    slug = seed.make_slug(shop, "bad0bad0", "Broken")
    seed.make_release(
        shop,
        "deploy",
        "Deploy bad0",
        timedelta(0),
        slug,
        status="failed",
        message="web.1 exited with status 1",
    )
    page = text(client.get(f"{SHOP}/activity"))
    assert re.findall(r"Roll back to v(\d)", page) == ["2"]  # not the failed, the serving and the empty one
    assert "web.1 exited with status 1" in page


def test_a_release_shows_what_it_changed_without_values(client: Client, shop: App) -> None:
    page = text(client.get(f"{SHOP}/releases/3"))
    assert "Changes from v2 to v3" in page
    assert re.search(r"<code>SECRET</code>.*?added", page, re.S)
    assert "hunter2" not in page
    assert "Changes from v1 to v3" in text(client.get(f"{SHOP}/releases/3", {"against": "1"}))
    assert client.get(f"{SHOP}/releases/3", {"against": "x"}).status_code == 404


# Settings


def test_renaming(client: Client, shop: App) -> None:
    response = client.post(f"{SHOP}/rename", {"name": "store"}, headers=HTMX)
    assert response["HX-Redirect"] == "/dashboard/apps/store/settings"
    assert client.get("/dashboard/apps/store").status_code == 200


def test_domains(client: Client, shop: App) -> None:
    added = client.post(f"{SHOP}/domains", {"hostname": "WWW.shop.example"}, headers=HTMX)
    assert "www.shop.example" in text(added)
    bad = client.post(f"{SHOP}/domains", {"hostname": "not a host"}, headers=HTMX)
    assert "is not a host name" in text(bad)
    client.post(f"{SHOP}/domains/remove", {"hostname": "www.shop.example"}, headers=HTMX)
    assert not shop.domains.exists()


def test_maintenance(client: Client, shop: App) -> None:
    switched = client.post(f"{SHOP}/maintenance", {"on": "1"}, headers=HTMX)
    assert 'aria-checked="true"' in text(switched)
    assert App.objects.get(id=shop.id).maintenance
    client.post(f"{SHOP}/maintenance", {"on": "0"})
    assert not App.objects.get(id=shop.id).maintenance


def test_destroying_needs_the_name(client: Client, shop: App) -> None:
    refused = client.post(f"{SHOP}/destroy", {"confirm": "shup"}, headers=HTMX)
    assert "Type shop to destroy it" in text(refused)
    assert App.objects.filter(id=shop.id).exists()
    assert client.post(f"{SHOP}/destroy", {"confirm": "shop"}, headers=HTMX)["HX-Redirect"] == "/"
    assert not App.objects.filter(id=shop.id).exists()


# Builds


def test_a_build_that_failed_shows_why_and_how_far_it_came(client: Client, shop: App) -> None:
    build = seed.make_build(
        shop, "failed", timedelta(minutes=1), "5ad1f00d", "Next", message="No buildpack fits.", error_id="no_buildpack",
        timings={"queue": 0.1, "build": 3.21},
    )  # fmt: skip
    page = text(client.get(f"{SHOP}/builds/{build.id}"))
    assert "No buildpack fits." in page
    assert "3.2 s" in page
    assert "Cancel the build" not in page
    assert "No buildpack fits." in text(client.get(SHOP))


def test_cancelling_a_build(client: Client, shop: App) -> None:
    build = seed.make_build(shop, "building", timedelta(0), "5ad1f00d", "Next")
    assert "Cancel the build" in text(client.get(SHOP))
    response = client.post(f"{SHOP}/builds/{build.id}/cancel", headers=HTMX)
    assert Build.objects.get(id=build.id).status == "cancelled"
    assert "Cancel the build" not in text(response)


# Account


def test_a_token_is_shown_once(client: Client, user: User) -> None:
    made = client.post("/dashboard/account/tokens", {"description": "laptop", "days": "30"}, headers=HTMX)
    plain = re.search(r'id="fresh-token">([^<]+)', text(made))[1]  # type: ignore[index]
    assert made["Cache-Control"] == "no-store"
    assert authenticate_token(plain)[0] == user  # type: ignore[index]
    assert plain not in text(client.get("/dashboard/account"))
    token = Token.objects.get(user=user)
    client.post(f"/dashboard/account/tokens/{token.id}/revoke", headers=HTMX)
    assert authenticate_token(plain) is None


def test_nobody_revokes_somebody_elses_token(client: Client, other: User) -> None:
    token = Token.objects.create(user=other, digest="x", scope=["global"])
    assert client.post(f"/dashboard/account/tokens/{token.id}/revoke", headers=HTMX).status_code == 404
    assert Token.objects.filter(id=token.id).exists()


def test_changing_the_password_keeps_this_session_and_ends_others(
    client: Client, user: User, client_of: Callable[..., Client]
) -> None:
    elsewhere = client_of(user)
    new = "battery horse staple"
    form = {"old": seed.PASSWORD, "new": new, "again": new}
    assert (
        client.post("/dashboard/account/password", {**form, "again": "typo"}, headers=HTMX).status_code == 422
    )
    wrong = client.post("/dashboard/account/password", {**form, "old": "x"}, headers=HTMX)
    assert "current password is wrong" in text(wrong)
    assert client.post("/dashboard/account/password", form, headers=HTMX).status_code == 200
    assert client.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 302
    assert User.objects.get(id=user.id).check_password(new)


# Hosts


def test_hosts_show_what_they_hold(admin: User, client_of: Callable[..., Client], shop: App) -> None:
    seed.make_host("quiet", seen=None, cordoned=True)
    type(shop.instances.get().host).objects.filter(name="quiet").update(seen_at=None)
    page = text(client_of(admin).get("/dashboard/hosts"))
    assert "1 of 1 up" in page
    assert "512 MiB of 8.0 GiB" in page
    assert "never seen" in page
    assert "cordoned" in page
    assert "No router has joined yet" in page
