"""Volumes, ways out and networks of an app, and its crashes, on its pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from paas.controller.models import App, Host, Network, User, Volume
from paas.controller.selectors.egress import egress_rules
from paas.controller.selectors.networks import aliases
from paas.controller.selectors.volumes import bindings_of_app
from runtime.tls import CONTROLLER
from tests.e2e.dashboard import seed
from tests.integration.controller.machines import certified
from tests.integration.dashboard.conftest import HTMX, deployed

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

SHOP = "/dashboard/apps/shop"


def text(response: object) -> str:
    return response.content.decode()  # type: ignore[attr-defined]


def notice(response: object) -> str:
    return str(json.loads(response["HX-Trigger"])["notice"])  # type: ignore[index]


@pytest.fixture
def data(shop: App) -> Volume:
    host = Host.objects.get(name="host-of-shop")
    return Volume.objects.create(app=shop, host=host, name="data", size_bytes=10 * 1024**3)


class TestVolumes:
    def test_mounting_is_a_release(self, client: Client, shop: App, data: Volume) -> None:
        assert "10.0 GiB on host-of-shop" in text(client.get(f"{SHOP}/resources"))
        answer = client.post(f"{SHOP}/volumes/data/mount", {"mounts": "web:/data"}, headers=HTMX)
        assert 'value="web:/data"' in text(answer)
        assert "Mount volume data web:/data" in notice(answer)
        assert [one.text for one in bindings_of_app(shop)] == ["web:/data"]
        same = client.post(f"{SHOP}/volumes/data/mount", {"mounts": " web:/data "}, headers=HTMX)
        assert notice(same) == "Nothing has changed."
        refused = client.post(f"{SHOP}/volumes/data/mount", {"mounts": "web:/etc"}, headers=HTMX)
        assert (refused.status_code, "belongs to the app" in text(refused)) == (422, True)

    def test_the_end_of_one_needs_its_name(self, client: Client, shop: App, data: Volume) -> None:
        refused = client.post(f"{SHOP}/volumes/data/destroy", {"confirm": "dat"}, headers=HTMX)
        assert "Type data to destroy it" in text(refused)
        gone = client.post(f"{SHOP}/volumes/data/destroy", {"confirm": "data"}, headers=HTMX)
        assert "None: files that a process writes" in text(gone)
        data.refresh_from_db()
        assert data.doomed

    def test_a_host_that_does_not_answer_is_told(self, client: Client, shop: App, data: Volume) -> None:
        certified(CONTROLLER)
        assert "host-of-shop does not answer" in text(client.get(f"{SHOP}/volumes/data", headers=HTMX))
        for path, form in (("data/grow", {"size": "20GiB"}), ("data/snapshots", {"snapshot": ""})):
            answer = client.post(f"{SHOP}/volumes/{path}", form, headers=HTMX)
            assert (answer.status_code, "does not answer; try again" in text(answer)) == (503, True)
        new = {"name": "more", "size": "1GiB", "mounts": ""}
        assert "does not answer" in text(client.post(f"{SHOP}/volumes", new, headers=HTMX))
        assert Volume.objects.count() == 1

    @pytest.mark.parametrize("size", ["", "much", "-1", "10XB"])
    def test_no_sizes(self, client: Client, shop: App, data: Volume, size: str) -> None:
        answer = client.post(f"{SHOP}/volumes/data/grow", {"size": size}, headers=HTMX)
        assert (answer.status_code, "is not a size: write 500MiB" in text(answer)) == (422, True)


class TestWaysOut:
    def test_rules_of_each_stage(self, client: Client, shop: App) -> None:
        form = {"stage": "app", "policy": "list", "rules": "*.Example.com:443\r\n203.0.113.7/24:80\r\n"}
        answer = client.post(f"{SHOP}/egress", form, headers=HTMX)
        assert "in force at once" in notice(answer)
        assert "*.example.com:443/tcp\n203.0.113.0/24:80/tcp</textarea>" in text(answer)
        client.post(f"{SHOP}/egress", {"stage": "build", "policy": "deny", "rules": ""}, headers=HTMX)
        shop.refresh_from_db()
        assert egress_rules(shop, "app") == ("*.example.com:443/tcp", "203.0.113.0/24:80/tcp")
        assert egress_rules(shop, "build") == ()
        assert '<option value="deny" selected>' in text(client.get(f"{SHOP}/resources"))
        client.post(f"{SHOP}/egress", {"stage": "app", "policy": "allow", "rules": "ignored"}, headers=HTMX)
        shop.refresh_from_db()
        assert egress_rules(shop, "app") is None

    @pytest.mark.parametrize(
        ("form", "words"),
        [
            ({"stage": "app", "policy": "list", "rules": "<b>"}, "neither an IPv4 network nor a DNS name"),
            ({"stage": "app", "policy": "list", "rules": ""}, "Give at least one rule"),
            ({"stage": "egress", "policy": "deny"}, "Choose where it may go"),
        ],
    )
    def test_a_refusal_changes_nothing(
        self, client: Client, shop: App, form: dict[str, str], words: str
    ) -> None:
        answer = client.post(f"{SHOP}/egress", form, headers=HTMX)
        assert (answer.status_code, words in text(answer)) == (422, True)
        shop.refresh_from_db()
        assert egress_rules(shop, "app") is None


class TestNetworks:
    def test_made_joined_left_and_destroyed(self, client: Client, shop: App, user: User) -> None:
        made = client.post(f"{SHOP}/networks/create", {"name": "Back", "internal": "on"}, headers=HTMX)
        assert "as shop.back.internal; nobody else is in it yet" in text(made)
        assert Network.objects.get().internal
        store = deployed(user, "store")
        page = text(client.get("/dashboard/apps/store/resources"))
        assert "<option>back</option>" in page
        form = {"network": "back", "aliases": "db cache"}
        joined = client.post("/dashboard/apps/store/networks", form, headers=HTMX)
        assert "as db.back.internal, cache.back.internal; with shop" in text(joined)
        assert [aliases(one) for one in store.network_members.all()] == [("db", "cache")]
        refused = client.post(f"{SHOP}/networks/destroy", {"network": "back"}, headers=HTMX)
        assert (refused.status_code, "has members: shop, store" in text(refused)) == (409, True)
        for name in ("shop", "store"):
            client.post(f"/dashboard/apps/{name}/networks/leave", {"network": "back"}, headers=HTMX)
        gone = client.post(f"{SHOP}/networks/destroy", {"network": "back"}, headers=HTMX)
        assert "None: no other app reaches its processes" in text(gone)
        assert not Network.objects.exists()

    def test_of_others_only_the_number_is_told(
        self, client: Client, shop: App, other: User, admin: User, client_of: Callable[..., Client]
    ) -> None:
        deployed(other, "secret")
        chief = client_of(admin)
        chief.post(f"{SHOP}/networks/create", {"name": "back"}, headers=HTMX)
        chief.post("/dashboard/apps/secret/networks", {"network": "back", "aliases": ""}, headers=HTMX)
        page = text(client.get(f"{SHOP}/resources"))
        assert "with 1 that you do not work on" in page
        assert "secret" not in page


def test_forms_need_their_token_and_an_app_of_ones_own(
    shop: App, data: Volume, user: User, other: User, client_of: Callable[..., Client]
) -> None:
    changes = {
        "egress": {"stage": "app", "policy": "deny"},
        "volumes/data/destroy": {"confirm": "data"},
        "networks/create": {"name": "back"},
    }
    for path, form in changes.items():
        assert client_of(user, enforce_csrf_checks=True).post(f"{SHOP}/{path}", form).status_code == 403
        assert client_of(other).post(f"{SHOP}/{path}", form).status_code == 404
        assert client_of(None).post(f"{SHOP}/{path}", form)["Location"].startswith(reverse("dashboard:login"))
    shop.refresh_from_db()
    data.refresh_from_db()
    assert (shop.egress, data.doomed, Network.objects.count()) == (None, False, 0)


def test_crashes_are_on_the_page_of_the_app(client: Client, shop: App) -> None:
    assert "Latest crashes" not in text(client.get(SHOP))
    seed.make_crashes(shop, {"reason": "oom", "code": 137, "at": 0.0}, timedelta(minutes=1))
    page = text(client.get(SHOP))
    assert "used more memory than its size has" in page
    assert "No module named &#x27;rapidfuzz&#x27;" in page
    assert "paas logs --crash -a shop" in page
