"""Who may pass: nobody without a session, nobody to somebody else's app, no form without its token.

In: every path of the dashboard.  Out: the refusals, and pages that obey the content security policy.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from html.parser import HTMLParser
from uuid import uuid4

import pytest
from django.db.models import QuerySet
from django.test import Client
from django.urls import get_resolver, reverse

from paas.controller.dashboard import urls
from paas.controller.models import App, Host, Release, User, Volume
from runtime.tls import CONTROLLER
from tests.e2e.dashboard import seed
from tests.integration.controller.machines import certified
from tests.integration.dashboard.conftest import HTMX, deployed

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

READS = [
    "app",
    "live",
    "logs",
    "activity",
    "events",
    "release",
    "build",
    "build_state",
    "build_stream",
    "config",
    "config_var",
    "settings",
    "source",
    "resources",
    "volume",
]
WRITES = [
    "formation", "restart", "stop_one_off", "rollback", "cancel_build", "remove_config_var", "rename", "domains",
    "remove_domain", "collaborators", "remove_collaborator", "transfer", "maintenance", "destroy",
    "connect_source", "disconnect_source", "source_secret", "source_path", "deploy_source",
    "kernel", "remove_kernel", "sandbox", "egress", "networks", "create_network", "leave_network", "destroy_network",
    "volumes", *(ON_VOLUMES := ["mount_volume", "grow_volume", "destroy_volume", "snapshot_volume", "restore_volume",
    "clone_volume", "remove_snapshot"]), *(ON_CRON := ["run_cron", "pause_cron", "resume_cron"]),
]  # fmt: skip
ADMIN_READS = ["hosts", "users", "audit"]
ADMIN_WRITES = ["invite", "user_active", "user_admin", "user_reset", "user_delete"]
PERSONAL_READS = ["home", "account", *ADMIN_READS]
PERSONAL_WRITES = ["create", "tokens", "password", "revoke_token", *ADMIN_WRITES]
ARGUMENTS = {
    "release": [2],
    "rollback": [2],
    "config_var": ["A"],
    "remove_config_var": ["A"],
    "revoke_token": [uuid4()],
    **dict.fromkeys(["volume", *ON_VOLUMES], ["data"]),
    **dict.fromkeys(ON_CRON, ["0a1b2c3d"]),
}
WITH_ID = {"build", "build_state", "build_stream", "cancel_build", "stop_one_off", *ADMIN_WRITES} - {"invite"}


def address(name: str, app: str = "shop", identity: object | None = None) -> str:
    arguments = ARGUMENTS.get(name, [identity or uuid4()] if name in WITH_ID else [])
    personal = name in PERSONAL_READS + PERSONAL_WRITES
    return reverse(f"dashboard:{name}", args=arguments if personal else [app, *arguments])


def test_every_path_of_the_dashboard_is_in_these_tests() -> None:
    names = {pattern.name for pattern in urls.urlpatterns}
    assert names == {*READS, *WRITES, *PERSONAL_READS, *PERSONAL_WRITES, "login", "logout"}


def test_no_path_of_the_dashboard_is_taken_by_another_door() -> None:
    for name in (*READS, *WRITES, *PERSONAL_READS, *PERSONAL_WRITES):
        view = get_resolver().resolve(address(name)).func
        assert view.__module__.startswith("paas.controller.dashboard"), name


@pytest.mark.parametrize("name", [*READS, *PERSONAL_READS])
def test_pages_send_strangers_to_the_login_and_back(
    name: str, client_of: Callable[..., Client], shop: App
) -> None:
    response = client_of(None).get(address(name))
    assert response.status_code == 302
    assert response["Location"].startswith("/login?next=/")


@pytest.mark.parametrize("name", [*WRITES, *PERSONAL_WRITES])
def test_strangers_change_nothing(name: str, client_of: Callable[..., Client], shop: App) -> None:
    response = client_of(None).post(address(name), {"confirm": "shop", "name": "x", "hostname": "x.example"})
    assert (response.status_code, response["Location"]) == (302, "/login?next=/")
    assert App.objects.get(id=shop.id).name == "shop"


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_somebody_elses_app_looks_like_none(
    name: str, other: User, client_of: Callable[..., Client], shop: App
) -> None:
    client = client_of(other)
    answers = [
        client.post(address(name, app)) if name in WRITES else client.get(address(name, app))
        for app in ("shop", "no-such-app")
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert b"find that app" in answers[0].content
    assert b"shop" not in answers[0].content


def test_an_admin_sees_every_app_and_the_hosts(
    admin: User, client_of: Callable[..., Client], shop: App
) -> None:
    client = client_of(admin)
    assert client.get(address("app")).status_code == 200
    assert b"host-of-shop" in client.get(address("hosts")).content


@pytest.mark.parametrize("name", [*ADMIN_READS, *ADMIN_WRITES])
def test_some_pages_are_for_admins(name: str, client: Client, other: User) -> None:
    path = address(name, identity=other.id)
    response = client.post(path, {"email": "x@example.com"}) if name in ADMIN_WRITES else client.get(path)
    assert response.status_code == 403
    assert b"Only an admin" in response.content
    assert User.objects.count() == 2


@pytest.mark.parametrize("name", [*WRITES, *PERSONAL_WRITES, "config"])
def test_no_form_works_without_its_token(
    name: str, user: User, client_of: Callable[..., Client], shop: App
) -> None:
    response = client_of(user, enforce_csrf_checks=True).post(address(name), {"confirm": "shop"})
    assert response.status_code == 403
    assert b"open for too long" in response.content
    assert App.objects.filter(name="shop").exists()


@pytest.mark.parametrize("name", [*WRITES, *PERSONAL_WRITES])
def test_following_a_link_changes_nothing(name: str, client: Client, shop: App) -> None:
    assert client.get(address(name)).status_code == 405


def test_a_session_that_ended_meanwhile_leads_to_the_login(
    client_of: Callable[..., Client], shop: App
) -> None:
    response = client_of(None).get(address("live"), headers=HTMX)
    assert (response.status_code, response["HX-Redirect"]) == (401, "/login")


def test_an_error_stays_in_the_form_that_made_it(client: Client, shop: App) -> None:
    response = client.post(address("rename"), {"name": "Not A Name"}, headers=HTMX)
    assert response.status_code == 422
    assert response["HX-Retarget"] == "find .problem"
    assert b"cannot be an app" in response.content
    assert b"<html" not in response.content


def test_an_error_without_a_script_is_a_page(client: Client, shop: App) -> None:
    response = client.post(address("rename"), {"name": "Not A Name"})
    assert response.status_code == 422
    assert b"<html" in response.content
    assert b"cannot be an app" in response.content


def test_an_error_of_a_live_part_is_a_notice(client: Client) -> None:
    response = client.get(address("live", "gone"), headers=HTMX)
    assert response["HX-Reswap"] == "none"
    assert json.loads(response["HX-Trigger"]) == {"problem": "Couldn't find that app."}


class Inline(HTMLParser):
    """Finds what the content security policy would block, and scripts from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "style" or (tag == "script" and not given.get("src")):
            self.found.append(f"<{tag}>")
        self.found += [name for name in given if name == "style" or name.startswith(("on", "hx-on"))]
        for name in ("src", "href"):
            external = tag in {"script", "link", "img"} and (given.get(name) or "").startswith(("http", "//"))
            self.found += [f"{tag} {given[name]}"] if external else []


@pytest.mark.parametrize(
    "name", [one for one in READS if "stream" not in one and one != "logs"] + PERSONAL_READS + ["login"]
)
def test_pages_carry_the_policy_and_obey_it(
    name: str, admin: User, client_of: Callable[..., Client], shop: App
) -> None:
    build = seed.make_build(shop, "building", timedelta(minutes=1), "5ad1f00d", "Next")
    certified(CONTROLLER)  # the page of a volume asks its host
    Volume.objects.create(app=shop, host=Host.objects.get(name="host-of-shop"), name="data", size_bytes=2**30)
    path = reverse("dashboard:login") if name == "login" else address(name, identity=build.id)
    response = client_of(None if name == "login" else admin).get(path)
    assert response.status_code == 200
    assert "script-src 'self'" in response["Content-Security-Policy"]
    assert "unsafe" not in response["Content-Security-Policy"]
    parser = Inline()
    parser.feed(response.content.decode())
    assert parser.found == []


def test_an_unknown_page_is_told_in_words(client: Client) -> None:
    response = client.get("/dashboard/nothing")
    assert response.status_code == 404
    assert b"There is nothing here" in response.content


def test_names_are_text_and_never_markup(client: Client, user: User) -> None:
    app = deployed(user, "safe")
    # Past the model's own guard: a release's description cannot be changed.
    QuerySet(Release).filter(app=app, version=2).update(description='<script>alert("1")</script>')
    page = client.get(address("activity", "safe")).content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
