"""The repository elsewhere of an app, its hook and its folder, and scheduled commands, on the app's pages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from paas.controller.models import App, Build, CronJob, HookRecord, Host, OneOff, Source, User
from paas.controller.selectors.cron import Scheduled, scheduled
from paas.controller.services import hook_records, sources
from paas.controller.services.sources import Repository, secret_of
from paas.controller.tasks.housekeeping import prune_rows
from paas.sources.hooks import Hook
from tests.e2e.dashboard import seed
from tests.integration.dashboard.conftest import HTMX

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

SHOP = "/dashboard/apps/shop"
URL = "https://git.example.com/acme/shop.git"


def text(response: object) -> str:
    return response.content.decode()  # type: ignore[attr-defined]


def notice(response: object) -> str:
    return str(json.loads(response["HX-Trigger"])["notice"])  # type: ignore[index]


def secret_in(page: str) -> str:
    found = re.search(r'id="hook-secret">([^<]+)<', page)
    return found[1] if found else ""


class TestConnecting:
    FORM = {"url": URL, "branch": "", "token": "t0ken", "token_user": "ada", "automatic": "on"}

    def test_the_secret_is_shown_once(self, client: Client, shop: App) -> None:
        answer = client.post(f"{SHOP}/source/connect", self.FORM, headers=HTMX)
        source = Source.objects.get(app=shop)
        assert (source.url, source.branch, source.automatic) == (URL, "main", True)
        assert secret_in(text(answer)) == secret_of(source)
        assert f"http://testserver/hooks/{source.id}" in text(answer)
        assert answer["Cache-Control"] == "no-store"
        page = text(client.get(f"{SHOP}/source"))
        assert "a token of ada" in page
        assert (secret_in(page), "t0ken" in page) == ("", False)
        fresh = client.post(f"{SHOP}/source/secret", headers=HTMX)
        source.refresh_from_db()
        assert secret_in(text(fresh)) == secret_of(source)
        assert "old secret is refused" in notice(fresh)

    def test_without_a_script_it_is_shown_on_the_page(self, client: Client, shop: App) -> None:
        answer = client.post(f"{SHOP}/source/connect", self.FORM)
        assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
        assert secret_in(text(answer)) == secret_of(Source.objects.get(app=shop))
        again = client.post(f"{SHOP}/source/connect", self.FORM)
        assert again["Location"] == f"{SHOP}/source"

    def test_a_change_keeps_token_and_host_key_unless_told(
        self, client: Client, shop: App, user: User
    ) -> None:
        sources.connect(user, shop, Repository(URL, token="t0ken"))
        Source.objects.update(host_keys="git.example.com ssh-ed25519 AAAA")
        client.post(f"{SHOP}/source/connect", {"url": URL, "branch": "next"}, headers=HTMX)
        source = Source.objects.get(app=shop)
        assert (source.branch, source.automatic) == ("next", False)
        assert source.token_encrypted
        assert source.host_keys
        client.post(f"{SHOP}/source/connect", {"url": URL, "again": "on", "forget": "on"}, headers=HTMX)
        source.refresh_from_db()
        assert (bytes(source.token_encrypted), source.host_keys) == (b"", "")

    @pytest.mark.parametrize(
        ("form", "words"),
        [
            ({"url": "file:///etc"}, "cannot be"),
            ({"url": URL, "branch": "a..b"}, "branch"),
            ({"url": URL, "token_user": "a b"}, "user of a token"),
            ({"url": "git@git.example.com:a/b.git", "token": "t"}, "deploy key alone"),
        ],
    )
    def test_a_refusal_changes_nothing(
        self, client: Client, shop: App, form: dict[str, str], words: str
    ) -> None:
        answer = client.post(f"{SHOP}/source/connect", form, headers=HTMX)
        assert (answer.status_code, words in text(answer)) == (422, True), text(answer)
        assert not Source.objects.exists()

    def test_a_deploy_key_is_shown(self, client: Client, shop: App) -> None:
        client.post(f"{SHOP}/source/connect", {"url": "git@git.example.com:acme/shop.git"})
        assert 'id="deploy-key">ssh-ed25519 ' in text(client.get(f"{SHOP}/source"))

    def test_disconnected(self, client: Client, shop: App, user: User) -> None:
        sources.connect(user, shop, Repository(URL))
        answer = client.post(f"{SHOP}/source/disconnect", headers=HTMX)
        assert "token and key are forgotten" in notice(answer)
        assert "Connect</button>" in text(answer)
        assert not Source.objects.exists()


class TestDeploying:
    def test_now(self, client: Client, shop: App, user: User) -> None:
        missing = client.post(f"{SHOP}/source/deploy", {"ref": ""}, headers=HTMX)
        assert (missing.status_code, "is not connected to a repository" in text(missing)) == (404, True)
        sources.connect(user, shop, Repository(URL))
        answer = client.post(f"{SHOP}/source/deploy", {"ref": "v1"}, headers=HTMX)
        build = Build.objects.get(app=shop)
        assert answer["HX-Redirect"] == f"{SHOP}/builds/{build.id}"
        assert build.source["ref"] == "v1"

    def test_the_folder(self, client: Client, shop: App) -> None:
        answer = client.post(f"{SHOP}/source/path", {"path": "/apps/api/"}, headers=HTMX)
        assert 'value="apps/api"' in text(answer)
        assert notice(answer) == "From the next build on apps/api is the app."
        refused = client.post(f"{SHOP}/source/path", {"path": "../x"}, headers=HTMX)
        assert refused.status_code == 422
        assert notice(client.post(f"{SHOP}/source/path", {}, headers=HTMX)).endswith(
            "whole source is the app."
        )


class TestDeliveries:
    @pytest.fixture
    def source(self, shop: App, user: User) -> Source:
        return sources.connect(user, shop, Repository(URL))[0]

    def test_what_became_of_each(self, client: Client, source: Source) -> None:
        assert "None yet" in text(client.get(f"{SHOP}/source"))
        for kind, branch in (("ping", ""), ("push", "other<b>"), ("push", "main"), ("push", "main")):
            said = Hook("github", kind, (f"id:{HookRecord.objects.count()}",), branch, "c0ffee" + "0" * 34)
            sources.take_hook(source, said)
        page = text(client.get(f"{SHOP}/source"))
        build = Build.objects.get(app=source.app)
        assert f'{SHOP}/builds/{build.id}">c0ffee0</a>' in page
        words = ("noted: it is built", "a build was started", "other&lt;b&gt;", "is built from main", "pong")
        places = [page.index(one) for one in words]
        assert places == sorted(places), "newest first"

    def test_one_that_waited_gets_its_build(self, source: Source) -> None:
        for number in (1, 2):
            sources.take_hook(source, Hook("github", "push", (f"id:{number}",), "main", str(number) * 40))
        Build.objects.update(status="cancelled")
        sources.start_waiting(str(source.app_id))
        told = dict(HookRecord.objects.values_list("commit", "build__commit"))
        assert told == {"1" * 40: "1" * 40, "2" * 40: "2" * 40}

    def test_only_the_last_are_kept_and_strangers_push_none_out(self, client: Client, source: Source) -> None:
        for number in range(hook_records.KEPT + 3):
            sources.take_hook(source, Hook("github", "ping", (f"id:{number}",)))
        for _ in range(3):
            path = f"/hooks/{source.id}"
            body, event = b"{}", {"X-GitHub-Event": "push"}
            refused = client.post(path, body, content_type="application/json", headers=event)
            assert refused.status_code == 401
        kinds = list(HookRecord.objects.filter(source=source).values_list("kind", flat=True))
        assert (kinds.count("ping"), kinds.count("unsigned")) == (hook_records.KEPT, 1)
        assert "not signed with this app" in text(client.get(f"{SHOP}/source"))


def test_scheduled_commands_and_how_they_ended(client: Client, shop: App) -> None:
    assert "None: the app.json of the release" in text(client.get(f"{SHOP}/resources"))
    release = shop.current_release
    assert release is not None
    seed.make_schedule(release, seed.make_host("fjord"), timedelta(minutes=1))
    page = re.sub(r"<[^>]+>|\s+", " ", text(client.get(f"{SHOP}/resources")))
    page = re.sub(r" +", " ", page)
    due = CronJob.objects.get(app=shop, number=0).next_at
    assert f"*/10 * * * * next {due:%-d %b %Y, %H:%M} left out while the last one runs" in page
    for words in (
        "cron.4102 runs v3",
        "cron.4101 exited with status 1 after 12.0 s",
        "cron.4100 succeeded after",
    ):
        assert words in page
    assert "@daily next" in page
    assert "Not started yet." in page
    assert f'href="{SHOP}?process=cron.4101#log-title"' in text(client.get(f"{SHOP}/resources"))


class TestScheduleByHand:
    @pytest.fixture
    def job(self, shop: App) -> Scheduled:
        release = shop.current_release
        assert release is not None
        seed.make_schedule(release, Host.objects.get(name="host-of-shop"), timedelta(minutes=1))
        OneOff.objects.update(finished_at=timezone.now())
        return scheduled(App.objects.get(id=shop.id))[0]

    def test_run_now(self, client: Client, shop: App, job: Scheduled) -> None:
        answer = client.post(f"{SHOP}/cron/{job.id}/run", headers=HTMX)
        started = OneOff.objects.get(app=shop, user__isnull=False)
        assert notice(answer) == f"Started {started.name}."
        assert f"<b>{started.name}</b>" in text(answer)
        refused = client.post(f"{SHOP}/cron/{job.id}/run", headers=HTMX)
        assert refused.status_code == 409
        assert f"{started.name} of the time before still runs" in text(refused)

    def test_pause_and_resume(self, client: Client, shop: App, job: Scheduled) -> None:
        paused = client.post(f"{SHOP}/cron/{job.id}/pause", headers=HTMX)
        assert "starts by hand only" in notice(paused)
        assert ">paused<" in text(paused)
        assert text(paused).count("/resume") == 2, "of one entry, with and without a script"
        assert CronJob.objects.get(app=shop, number=0).paused
        resumed = client.post(f"{SHOP}/cron/{job.id}/resume", headers=HTMX)
        assert (">paused<" in text(resumed), "/resume" in text(resumed)) == (False, False)
        assert "paused the scheduled command" in text(client.get(f"{SHOP}/activity/events"))

    def test_an_entry_that_is_gone(self, client: Client, shop: App, job: Scheduled) -> None:
        answer = client.post(f"{SHOP}/cron/00000000/run", headers=HTMX)
        assert (answer.status_code, "no scheduled command 00000000" in text(answer)) == (404, True)

    def test_forms_need_their_token(
        self, shop: App, job: Scheduled, user: User, client_of: Callable[..., Client]
    ) -> None:
        for action in ("run", "pause"):
            answer = client_of(user, enforce_csrf_checks=True).post(f"{SHOP}/cron/{job.id}/{action}")
            assert answer.status_code == 403
        assert not CronJob.objects.filter(paused=True).exists()
        assert not OneOff.objects.filter(user__isnull=False).exists()


def test_the_last_run_of_each_is_kept(shop: App) -> None:
    release = shop.current_release
    assert release is not None
    seed.make_schedule(release, seed.make_host("fjord"), timedelta(minutes=1))
    OneOff.objects.filter(exit__isnull=False).update(finished_at=timezone.now() - timedelta(days=3))
    CronJob.objects.filter(number=0).update(one_off=OneOff.objects.get(name="cron.4101"))
    prune_rows()
    assert set(OneOff.objects.values_list("name", flat=True)) == {"cron.4101", "cron.4102"}
