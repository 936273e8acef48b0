"""Each noun of the API, through to the rows that the services write."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from django.utils import timezone

from paas.controller.api import limits
from paas.controller.encryption import decrypt
from paas.controller.models import (
    App,
    Build,
    Collaborator,
    CronJob,
    Deployment,
    Host,
    OneOff,
    Release,
    Token,
)
from paas.controller.services.apps import create_app, repository_path
from paas.gateway import tickets
from runtime.model import JobSpec, decode

from .conftest import PASSWORD, Api, deploy

pytestmark = pytest.mark.integration


def login(api: Api, password: str, email: str = "ada@example.com"):
    header = "Basic " + base64.b64encode(f"{email}:{password}".encode()).decode()
    return api.post("/oauth/authorizations", {"description": "cli", "expires_in": 60}, Authorization=header)


class TestApps:
    def test_an_app_has_every_field_that_clients_read(self, api: Api) -> None:
        answer = api.post("/apps", {"name": "shop", "region": "us", "stack": "host", "kernel": None})
        assert answer.status == 201
        app = answer.body
        assert app["web_url"].endswith("/") and "shop." in app["web_url"]
        assert app["git_url"].endswith("/shop.git")
        assert app["owner"]["email"] == "ada@example.com"
        assert (app["region"]["name"], app["stack"]["name"], app["build_stack"]["name"]) == (
            "us",
            "host",
            "host",
        )
        assert (app["repo_size"], app["slug_size"]) == (0, 0)
        assert (app["generation"], app["create_status"]) == ("cedar", "complete")
        assert app["created_at"].endswith("Z")
        assert api.get(f"/apps/{app['id']}").body == api.get("/apps/shop").body

    def test_a_name_is_made_up_when_none_is_given(self, api: Api) -> None:
        assert App.objects.get(name=api.post("/apps").body["name"]).owner == api.user

    def test_a_taken_or_bad_name_is_refused(self, api: Api, stranger: Api, app: App) -> None:
        assert "taken" in stranger.post("/apps", {"name": "shop"}).body["message"]
        assert api.post("/apps", {"name": "No Good"}).status == 422
        assert App.objects.count() == 1

    def test_others_do_not_see_it(self, stranger: Api, app: App) -> None:
        for method, path in (
            ("GET", "/apps/shop"),
            ("DELETE", "/apps/shop"),
            ("GET", f"/apps/{app.id}/config-vars"),
        ):
            answer = stranger.call(method, path)
            assert (answer.status, answer.body["id"], answer.body["resource"]) == (404, "not_found", "app")
        assert stranger.get("/apps").body == []

    def test_those_it_is_shared_with_do(self, stranger: Api, app: App) -> None:
        Collaborator.objects.create(app=app, user=stranger.user)
        assert [one["name"] for one in stranger.get("/users/~/apps").body] == ["shop"]
        roles = [(one["user"]["email"], one["role"]) for one in stranger.get("/apps/shop/collaborators").body]
        assert roles == [("ada@example.com", "owner"), ("eve@example.com", "collaborator")]

    def test_maintenance_name_and_stack_change(self, api: Api, app: App) -> None:
        assert api.patch("/apps/shop", {"maintenance": True}).body["maintenance"] is True
        assert (
            api.patch("/apps/shop", {"build_stack": {"name": "host"}}).body["build_stack"]["name"] == "host"
        )
        assert api.patch("/apps/shop", {"name": "store"}).body["git_url"].endswith("/store.git")
        assert api.get("/apps/shop").status == 404
        assert api.patch("/apps/store", {"name": "x-y", "maintenance": False}).status == 422

    def test_destroying_answers_the_app_as_it_was(self, api: Api, app: App) -> None:
        assert api.delete("/apps/shop").body["name"] == "shop"
        assert not App.objects.exists()

    def test_an_admin_sees_all_apps_but_owns_few(self, stranger: Api, app: App) -> None:
        stranger.user.is_admin = True
        stranger.user.save()
        assert [one["name"] for one in stranger.get("/apps").body] == ["shop"]
        assert stranger.get("/users/~/apps").body == []


class TestConfig:
    def test_vars_are_set_kept_and_unset(self, api: Api, app: App) -> None:
        values = {"A": "one", "NOTE": "two\nlines", "WORD": "naïve 🦆 ", "EMPTY": ""}
        assert api.patch("/apps/shop/config-vars", values).body == values
        assert api.patch("/apps/shop/config-vars", {"A": None}).body == {
            k: v for k, v in values.items() if k != "A"
        }
        newest = api.get("/apps/shop/releases", Range="version ..; order=desc,max=1").body[0]
        assert newest["version"] == 3
        assert api.get("/apps/shop/releases/2/config-vars").body == values

    def test_nothing_changes_when_one_value_is_bad(self, api: Api, app: App) -> None:
        answer = api.patch("/apps/shop/config-vars", {"GOOD": "1", "BAD": 2})
        assert answer.status == 422 and "BAD" in answer.body["message"]
        assert api.get("/apps/shop/config-vars").body == {}
        assert api.patch("/apps/shop/config-vars", {"GOOD": "1", "not a name": "2"}).status == 422
        assert Release.objects.filter(app=app).count() == 1


class TestFormation:
    def test_scaling_takes_numbers_text_and_changes(self, api: Api, deployed: App) -> None:
        web = api.get("/apps/shop/formation/web").body
        assert (web["quantity"], web["command"], web["app"]["name"]) == (1, "python app.py", "shop")
        answer = api.patch(
            "/apps/shop/formation",
            {
                "updates": [
                    {"type": "web", "quantity": "+2", "size": "Standard-2X"},
                    {"type": "worker", "quantity": 1},
                ]
            },
        )
        assert {(row["type"], row["quantity"], row["size"]) for row in answer.body} == {
            ("web", 3, "standard-2x"),
            ("worker", 1, "standard-1x"),
        }
        assert api.patch(f"/apps/shop/formation/{web['id']}", {"quantity": "-1"}).body["quantity"] == 2
        assert [row["type"] for row in api.get("/apps/shop/formation").body] == ["web", "worker"]

    @pytest.mark.parametrize("quantity", [-1, True, 1.5, "1.5", "", None, "+-1", 10**9])
    def test_other_quantities_are_refused(self, api: Api, deployed: App, quantity: object) -> None:
        answer = api.patch("/apps/shop/formation", {"updates": [{"type": "web", "quantity": quantity}]})
        assert answer.status == 422
        assert api.get("/apps/shop/formation/web").body["quantity"] == 1

    def test_unknown_types_and_images_are_refused(self, api: Api, deployed: App) -> None:
        assert api.patch("/apps/shop/formation", {"updates": [{"type": "cron", "quantity": 1}]}).status == 404
        assert api.get("/apps/shop/formation/cron").status == 404
        image = {"updates": [{"type": "web", "docker_image": str(uuid4())}]}
        assert "git push" in api.patch("/apps/shop/formation", image).body["message"]


class TestDynos:
    def test_what_runs_is_listed_shown_restarted_and_stopped(self, api: Api, deployed: App) -> None:
        (web,) = api.get("/apps/shop/dynos").body
        assert (web["name"], web["type"], web["command"], web["state"]) == (
            "web.1",
            "web",
            "python app.py",
            "starting",
        )
        assert web["release"]["version"] == 2
        assert api.get("/apps/shop/dynos/web.1").body == api.get(f"/apps/shop/dynos/{web['id']}").body
        assert api.delete("/apps/shop/dynos").status == 202
        assert deployed.instances.get().template.startswith("stale:")
        assert api.delete("/apps/shop/dynos/web.1").status == 202
        assert api.delete("/apps/shop/formations/web").status == 202
        assert api.post("/apps/shop/dynos/web.1/actions/stop").status == 202
        assert deployed.instances.get().wanted == "drain"
        assert api.delete("/apps/shop/dynos/web.9").status == 404
        assert api.post("/apps/shop/formations/clock/actions/stop").status == 404

    def test_a_command_runs_detached(self, api: Api, deployed: App) -> None:
        deployed.current_release = deployed.releases.get(version=2)
        deployed.save()
        answer = api.post(
            "/apps/shop/dynos", {"command": "echo $A", "attach": False, "env": {"A": "x\ny"}, "type": "run"}
        )
        assert answer.status == 201, answer.body
        assert answer.body["name"].startswith("run.") and answer.body["command"] == "echo $A"
        assert answer.body["name"] in [one["name"] for one in api.get("/apps/shop/dynos").body]
        assert api.post(f"/apps/shop/dynos/{answer.body['name']}/actions/stop").status == 202
        assert OneOff.objects.get().stop_requested

    def test_a_scheduled_command_is_run_paused_and_resumed(
        self, api: Api, stranger: Api, deployed: App
    ) -> None:
        deployed.current_release = release = deployed.releases.get(version=2)
        deployed.save()
        release.slug.declared = {"cron": [{"command": "tidy", "schedule": "@daily"}]}
        release.slug.save()
        CronJob.objects.create(
            app=deployed, number=0, command="tidy", schedule="@daily", next_at=timezone.now()
        )
        (row,) = api.get("/apps/shop/cron").body
        path = f"/apps/shop/cron/{row['id']}"
        assert (row["paused"], row["command"]) == (False, "tidy")
        paused = api.patch(path, {"paused": True})
        assert (paused.status, paused.body["paused"], paused.body["next_at"]) == (200, True, None)
        assert api.patch(path, {"paused": "perhaps"}).status == 422
        dyno = api.post(f"{path}/actions/run")
        assert (dyno.status, dyno.body["command"], dyno.body["type"]) == (201, "tidy", "cron"), dyno.body
        assert api.get(path).body["last_at"]
        assert api.patch(path, {"paused": False}).body["next_at"]
        assert api.post("/apps/shop/cron/00000000/actions/run").status == 404
        assert stranger.post(f"{path}/actions/run").status == 404
        assert stranger.patch(path, {"paused": True}).status == 404

    def test_a_command_to_attach_to(self, api: Api, deployed: App) -> None:
        deployed.current_release = deployed.releases.get(version=2)
        deployed.save()
        env = {"TERM": "xterm", "COLUMNS": "99", "LINES": "33"}
        answer = api.post("/apps/shop/dynos", {"command": "bash", "attach": True, "env": env})
        assert answer.status == 201, answer.body
        place, _, secret = answer.body["attach_url"].rpartition("/")
        assert place == f"rendezvous://localhost:{settings.PAAS.gateway_port}"
        one_off = OneOff.objects.get()
        ticket = tickets.read(settings.SECRETS.gateway_key, secret, time.time())
        assert (ticket.container, ticket.agent) == (str(one_off.id), one_off.host.url)
        assert (ticket.tty, ticket.rows, ticket.columns) == (True, 33, 99)
        spec = decode(decrypt(one_off.spec), JobSpec)
        assert (spec.container.tty, spec.container.stdin, spec.container.logged) == (True, True, False)
        assert spec.attach_seconds == 60
        shown = api.get(f"/apps/shop/dynos/{answer.body['name']}")
        assert shown.body["attach_url"] is None, "it is said once, to whoever asked for it"

    def test_no_terminal_without_its_kind_or_against_the_client_s_will(self, api: Api, deployed: App) -> None:
        deployed.current_release = deployed.releases.get(version=2)
        deployed.save()
        wishes = ({"attach": True}, {"attach": True, "force_no_tty": True, "env": {"TERM": "xterm"}})
        for wish in wishes:
            assert api.post("/apps/shop/dynos", {"command": "cat", **wish}).status == 201
        specs = [decode(decrypt(one.spec), JobSpec).container for one in OneOff.objects.all()]
        assert [(spec.tty, spec.stdin) for spec in specs] == [(False, True)] * 2

    def test_only_what_runs_can_be_entered(self, api: Api, deployed: App) -> None:
        deployed.instances.update(state="crashed")
        answer = api.post("/apps/shop/dynos/web.1", {"command": "bash"})
        assert (answer.status, answer.body["id"]) == (409, "conflict")
        assert api.post("/apps/shop/dynos/web.9", {"command": "bash"}).status == 404
        deployed.instances.update(state="up")
        answer = api.post("/apps/shop/dynos/web.1", {"command": "bash"})
        assert (answer.status, answer.body["id"]) == (503, "service_unavailable"), "its host does not answer"
        assert api.post("/apps/shop/dynos/web.1", {"command": " "}).status == 422


class TestReleases:
    def test_the_ledger_newest_first_and_rolling_back(self, api: Api, app: App) -> None:
        api.patch("/apps/shop/config-vars", {"A": "1"})
        deploy(app, api, "b" * 40)
        deploy(app, api, "c" * 40)
        Release.objects.update(status="succeeded")
        page = api.get("/apps/shop/releases", Range="version ..; max=3, order=desc")
        assert (page.status, [one["version"] for one in page.body]) == (206, [4, 3, 2])
        assert page.body[0]["user"]["email"] == "ada@example.com"
        shown = api.get("/apps/shop/releases/3").body
        assert shown["id"] == page.body[1]["id"]
        assert shown["slug"]["id"]
        made = api.post("/apps/shop/releases", {"release": shown["id"]})
        assert (made.status, made.body["version"], made.body["slug"]) == (201, 5, shown["slug"])
        assert api.post("/apps/shop/releases", {"release": "v4"}).body["version"] == 6
        assert api.post("/apps/shop/releases", {"slug": {"id": shown["slug"]["id"]}}).body["version"] == 7
        difference = api.get("/apps/shop/releases/1/diff/3").body
        assert difference["config"] == {"A": "added"}
        assert difference["code"][1].startswith("b" * 12)
        assert "1 × standard-1x" in difference["formation"]["web"][1]

    def test_what_is_not_there_is_a_404(self, api: Api, app: App) -> None:
        for path in ("/apps/shop/releases/99", "/apps/shop/releases/none", "/apps/shop/releases/1/diff/9"):
            assert api.get(path).body["resource"] == "release"
        assert api.post("/apps/shop/releases", {"release": 99}).status == 404
        assert api.post("/apps/shop/releases", {"slug": "none"}).status == 404
        assert api.post("/apps/shop/releases", {}).status == 422
        assert api.get("/apps/shop/slugs/none").status == 404

    def test_a_slug_of_another_app_is_not_found(self, api: Api, deployed: App) -> None:
        other = create_app(api.user, "other")
        slug = deployed.slugs.get()
        assert api.get(f"/apps/shop/slugs/{slug.id}").body["process_types"]["web"] == "python app.py"
        assert api.get(f"/apps/other/slugs/{slug.id}").status == 404
        assert api.post("/apps/other/releases", {"slug": str(slug.id)}).status == 404
        assert other.releases.count() == 1

    def test_deployments_tell_their_phases(self, api: Api, deployed: App) -> None:
        rows = api.get("/apps/shop/deployments").body
        assert [row["release"]["version"] for row in rows] == [2]
        assert api.get(f"/apps/shop/deployments/{rows[0]['id']}").body["status"] == Deployment.Status.ACTIVE
        assert isinstance(rows[0]["timings"], dict)


class TestDomains:
    def test_names_are_added_listed_and_removed(self, api: Api, app: App) -> None:
        made = api.post("/apps/shop/domains", {"hostname": "www.example.com", "sni_endpoint": None})
        assert (made.status, made.body["status"], made.body["kind"]) == (201, "none", "custom")
        listed = api.get("/apps/shop/domains", Range="id ..; max=1000;").body
        assert {one["kind"] for one in listed} == {"heroku", "custom"}
        assert api.get("/apps/shop/domains/www.example.com").body["id"] == made.body["id"]
        own = next(one for one in listed if one["kind"] == "heroku")
        assert api.delete(f"/apps/shop/domains/{own['hostname']}").status == 422
        assert api.delete("/apps/shop/domains/www.example.com").body["hostname"] == "www.example.com"
        assert api.delete("/apps/shop/domains/www.example.com").status == 404
        assert api.post("/apps/shop/domains", {"hostname": "not a name"}).status == 422


class TestAccount:
    def test_name_and_password_change(self, api: Api) -> None:
        assert api.patch("/account", {"name": "Ada L."}).body["name"] == "Ada L."
        assert api.patch("/account", {"password": "wrong", "new_password": "another one"}).status == 422
        assert login(api, PASSWORD).status == 201
        assert api.patch("/account", {"password": PASSWORD, "new_password": "another one"}).status == 200
        assert login(api, PASSWORD).status == 401
        assert login(api, "another one").status == 201
        assert api.patch("/account", {"new_password": "another one"}).status == 422

    def test_a_login_gives_a_token_that_works_and_can_be_revoked(self, api: Api) -> None:
        made = login(api, PASSWORD).body
        assert made["user"]["email"] == "ada@example.com" and made["access_token"]["expires_in"] <= 60
        cli = Api(api.user, made["access_token"]["token"])
        listed = cli.get("/oauth/authorizations").body
        assert [one["access_token"]["token"] for one in listed if one["access_token"]] == [cli.token]
        assert cli.patch("/oauth/authorizations/~", {"description": "laptop"}).body["description"] == "laptop"
        shown = cli.get("/oauth/authorizations/~").body
        assert (shown["id"], shown["access_token"]) == (
            made["id"],
            None,
        )  # else `heroku logout` revokes nothing
        assert cli.delete("/oauth/sessions/~").body["resource"] == "session"
        assert cli.delete(f"/oauth/authorizations/{made['id']}").body["id"] == made["id"]
        assert cli.get("/account").status == 401

    def test_tokens_of_others_are_out_of_reach(self, api: Api, stranger: Api) -> None:
        token = Token.objects.get(user=api.user)
        assert stranger.get(f"/oauth/authorizations/{token.id}").status == 404
        assert stranger.delete(f"/oauth/authorizations/{token.id}").status == 404
        assert stranger.get("/oauth/authorizations/none").status == 404

    def test_guessing_a_password_is_limited_per_account(
        self, api: Api, stranger: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "FAILED_LOGINS", limits.Limit("failed-logins", 3, 900))
        assert [login(api, "guess").status for _ in range(4)] == [401, 401, 401, 429]
        assert login(api, PASSWORD).status == 429
        assert login(api, PASSWORD, "eve@example.com").status == 201


class TestTheRest:
    def test_lists_that_clients_ask_for(self, api: Api, app: App) -> None:
        packs = Path(repository_path(app)) / "objects" / "pack"
        packs.mkdir(parents=True)
        (packs / "pack-1.pack").write_bytes(b"x" * 300)
        assert api.get("/apps/shop").body["repo_size"] == 300
        for path in (
            "/addons",
            "/teams",
            "/apps/shop/addons",
            "/apps/shop/features",
            "/apps/shop/sni-endpoints",
        ):
            assert api.get(path).body == []
        assert api.get("/apps/shop/pipeline-couplings").status == 404
        assert [one["name"] for one in api.get("/regions").body] == ["us"]
        assert api.get("/stacks/host").body["default"] is True
        assert api.get("/stacks/none").status == 404
        assert "standard-1x" in [one["name"] for one in api.get("/dyno-sizes").body]
        assert api.get("/dyno-sizes/Standard-2X").body["memory"] == 1

    def test_buildpacks_of_the_current_release(self, api: Api, deployed: App) -> None:
        deployed.current_release = deployed.releases.get(version=2)
        deployed.save()
        assert api.get("/apps/shop/buildpack-installations").body[0]["buildpack"]["name"] == "python"

    def test_hosts_are_for_admins(self, api: Api, deployed: App) -> None:
        assert api.get("/hosts").status == 403
        api.user.is_admin = True
        api.user.save()
        assert [(one["name"], one["up"]) for one in api.get("/hosts").body] == [("one", True)]
        assert Host.objects.count() == 1

    def test_builds_are_listed_and_cancelled(self, api: Api, app: App) -> None:
        build = Build.objects.create(app=app, user=api.user, source_file="", stack="host", commit="c0ffee")
        (listed,) = api.get("/apps/shop/builds").body
        assert (listed["status"], listed["source_blob"]["version"]) == ("pending", "c0ffee")
        assert api.get(f"/apps/shop/builds/{build.id}/result").body["exit_code"] is None
        assert api.delete(f"/apps/shop/builds/{build.id}").body["state"] == "cancelled"
        shown = api.get(f"/apps/shop/builds/{build.id}").body
        assert (shown["status"], shown["state"]) == ("failed", "cancelled")
