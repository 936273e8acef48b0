"""What app.json asks for: config vars and formation at the first deploy, scripts once, commands at their times."""

from __future__ import annotations

import io
import json
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from paas.controller.models import App, Build, CronJob, Event, OneOff, Release, Script, Slug, User
from paas.controller.selectors.builds import build_output
from paas.controller.selectors.config import config_vars
from paas.controller.selectors.cron import scheduled
from paas.controller.selectors.events import entry
from paas.controller.services import apps, builds, cron, declared, one_offs, releases
from paas.controller.services.config import set_config
from paas.controller.services.sources import set_path
from paas.controller.tasks import builds as tasks
from paas.controller.tasks import schedules
from paas.errors import Conflict, InvalidParams, NotFound
from runtime.model import JobState
from tests.integration.controller.conftest import make_slug
from tests.integration.controller.machines import Platform
from tests.integration.controller.test_build_runs import SLUG, ends
from tests.integration.controller.test_build_runs import builder as builder

pytestmark = pytest.mark.integration

ENV = {
    "SECRET_TOKEN": {"generator": "secret"},
    "GREETING": {"value": "hello"},
    "OURS": "theirs",
    "LATER": {"description": "none"},
}


def queued(user: User, app: App, folder: Path, document: object, name: str = "app.json") -> Build:
    """A build whose source has an app.json."""
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    tar = folder / "source.tar"
    with tarfile.open(tar, "w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return builds.create_build(user, app, source_file=tar, origin="api")


class TestConfigVars:
    def test_before_the_first_build_what_is_missing_is_set(
        self, app: App, user: User, tmp_path: Path
    ) -> None:
        set_config(user, app, {"OURS": "ours"})
        build = queued(user, app, tmp_path, {"env": ENV})
        declared.prepare(build)
        found = config_vars(app)
        assert (found["GREETING"], found["OURS"], set(found)) == (
            "hello",
            "ours",
            {"GREETING", "OURS", "SECRET_TOKEN"},
        )
        assert len(found["SECRET_TOKEN"]) == 64
        declared.prepare(build)
        assert config_vars(app)["SECRET_TOKEN"] == found["SECRET_TOKEN"], "made once"
        assert app.releases.count() == 3
        builds.cancel_build(None, build)
        said = "\n".join(build_output(build))
        assert "Config vars from app.json: GREETING, SECRET_TOKEN" in said
        assert found["SECRET_TOKEN"] not in said

    def test_never_once_there_is_code(
        self, platform: Platform, live: App, user: User, tmp_path: Path
    ) -> None:
        declared.prepare(queued(user, live, tmp_path, {"env": ENV}))
        assert config_vars(live) == {}

    def test_of_the_folder_that_is_built(self, app: App, user: User, tmp_path: Path) -> None:
        app = set_path(user, app, "apps/api")
        declared.prepare(queued(user, app, tmp_path, {"env": {"A": "1"}}, "apps/api/app.json"))
        assert config_vars(app) == {"A": "1"}

    @pytest.mark.parametrize("document", [b"{", {"env": {"PORT": "1"}}, {"env": {"A-B": "1"}}, {}])
    def test_what_cannot_be_used_sets_nothing(
        self, app: App, user: User, tmp_path: Path, document: object
    ) -> None:
        declared.prepare(queued(user, app, tmp_path, document))
        assert config_vars(app) == {}

    def test_the_build_itself_has_them(
        self, platform: Platform, app: App, user: User, tmp_path: Path
    ) -> None:
        build = queued(user, app, tmp_path, {"env": ENV})
        result = {
            "process_types": {"web": "a", "job": "b"},
            "declared": {"formation": {"job": {"quantity": 2}}},
        }
        platform.agent.job_ends = ends(result=json.dumps(result), slug=SLUG)
        tasks.run_build(str(build.id))
        assert platform.agent.specs[str(build.id)].container.env["GREETING"] == "hello"
        build.refresh_from_db()
        assert build.status == "succeeded", build.message
        assert build.release is not None
        assert {type_: entry["quantity"] for type_, entry in build.release.formation.items()} == {
            "web": 1,
            "job": 2,
        }


def slug_of(app: App, commit: str, said: dict[str, Any]) -> Slug:
    slug = make_slug(app, commit, web="run")
    slug.declared = said
    slug.save()
    return slug


def go_live(platform: Platform, user: User, app: App, commit: str, **said: Any) -> Release:
    release = releases.release_slug(user, app, slug_of(app, commit, said), "Deploy")
    platform.settle()
    release.refresh_from_db()
    assert release.status == "succeeded", release.message
    return release


def test_the_formation_of_the_first_deploy_only(app: App, user: User) -> None:
    said = {"formation": {"web": {"quantity": 3, "size": "eco"}, "none": {"quantity": 1}}}
    first = releases.release_slug(user, app, slug_of(app, "a" * 40, said), "Deploy")
    assert first.formation == {"web": {"command": "run", "quantity": 3, "size": "standard-1x"}}
    again = {"formation": {"web": {"quantity": 5, "size": "standard-2x"}}}
    assert (
        releases.release_slug(user, app, slug_of(app, "b" * 40, again), "Deploy").formation == first.formation
    )


class TestScripts:
    SAID = {"postdeploy": "seed --all", "deployed": "notify"}

    def ran(self, app: App) -> list[str]:
        found = OneOff.objects.filter(app=app).order_by("created_at").values_list("name", "command")
        return [f"{name.partition('.')[0]}: {command}" for name, command in found]

    def test_each_runs_when_it_should_and_never_twice(self, platform: Platform, app: App, user: User) -> None:
        first = go_live(platform, user, app, "a" * 40, scripts=self.SAID)
        assert sorted(self.ran(app)) == ["deployed: notify", "postdeploy: seed --all"]
        schedules.run_scripts(str(app.id))
        schedules.look()
        set_config(user, app, {"A": "1"})
        platform.settle()
        assert len(self.ran(app)) == 2, "a change of config runs none"
        go_live(platform, user, app, "b" * 40, scripts=self.SAID)
        assert self.ran(app).count("deployed: notify") == 2
        assert self.ran(app).count("postdeploy: seed --all") == 1
        releases.rollback(user, app, first)
        platform.settle()
        assert len(self.ran(app)) == 3
        assert OneOff.objects.get(app=app, command="seed --all").release == first

    def test_none_runs_of_a_release_that_did_not_go_live(
        self, platform: Platform, app: App, user: User
    ) -> None:
        slug = slug_of(app, "a" * 40, {"scripts": {"postdeploy": "seed"}})
        releases.release_slug(user, app, slug, "Deploy")
        assert not Script.objects.exists()

    def test_code_that_another_change_takes_along_runs_them(
        self, platform: Platform, app: App, user: User
    ) -> None:
        releases.release_slug(user, app, slug_of(app, "a" * 40, {"scripts": self.SAID}), "Deploy")
        set_config(user, app, {"A": "1"})
        platform.settle()
        assert sorted(self.ran(app)) == ["deployed: notify", "postdeploy: seed --all"]

    def test_without_a_host_it_waits(self, platform: Platform, app: App, user: User) -> None:
        release = go_live(platform, user, app, "a" * 40)
        Script.objects.create(app=app, release=release, name="deployed", command="notify")
        platform.agent.host.__class__.objects.update(seen_at=timezone.now() - timedelta(minutes=5))
        schedules.look()
        assert Script.objects.get().started_at is None
        platform.agent.host.__class__.objects.update(seen_at=timezone.now())
        schedules.look()
        assert Script.objects.get().one_off is not None

    def test_an_end_that_is_no_success_is_told(self, platform: Platform, app: App, user: User) -> None:
        go_live(platform, user, app, "a" * 40, scripts={"postdeploy": "seed"})
        one_off = OneOff.objects.get(app=app)
        one_offs.finished(one_off, JobState.FAILED, one_offs.LOST, timezone.now())
        platform.settle()
        (event,) = Event.objects.filter(app=app, action="script.fail")
        assert event.data["name"] == one_off.name

    def test_predeploy_comes_before_the_release_phase(self, platform: Platform, app: App, user: User) -> None:
        slug = make_slug(app, "a" * 40, web="run", release="migrate; check")
        slug.declared = {"scripts": {"predeploy": "warm"}}
        slug.save()
        releases.release_slug(user, app, slug, "Deploy")
        platform.worker.drain()
        assert self.ran(app) == ["release: ( warm ) && ( migrate; check )"]


class TestCron:
    NOON = datetime(2026, 3, 2, 12, 0, 10, tzinfo=UTC)
    ENTRY = {"command": "tidy up", "schedule": "*/5 * * * *"}

    def live(
        self, platform: Platform, user: User, app: App, *entries: dict[str, Any], commit: str = "a" * 40
    ) -> App:
        go_live(platform, user, app, commit, cron=list(entries))
        CronJob.objects.update(next_at=self.NOON.replace(second=0))
        app.refresh_from_db()
        return app

    def started(self, app: App) -> int:
        return OneOff.objects.filter(app=app, name__startswith="cron.").count()

    def test_each_time_starts_one(self, platform: Platform, app: App, user: User) -> None:
        app = self.live(platform, user, app, self.ENTRY)
        for _ in range(3):
            cron.start_due(str(app.id), self.NOON)
        assert self.started(app) == 1
        job = CronJob.objects.get(app=app)
        assert job.next_at == self.NOON.replace(minute=5, second=0)
        assert job.one_off is not None
        assert (job.one_off.command, job.one_off.release) == ("tidy up", app.current_release)
        cron.start_due(str(app.id), self.NOON + timedelta(minutes=17))
        assert self.started(app) == 2, "times that were missed are made up for once"
        assert CronJob.objects.get(app=app).next_at == self.NOON.replace(minute=20, second=0)

    def test_what_is_too_late_is_left_out(self, platform: Platform, app: App, user: User) -> None:
        app = self.live(platform, user, app, self.ENTRY)
        cron.start_due(str(app.id), self.NOON + timedelta(hours=2))
        assert self.started(app) == 0
        assert CronJob.objects.get(app=app).next_at == self.NOON.replace(hour=14, minute=5, second=0)

    @pytest.mark.parametrize(
        ("policy", "wanted", "stopped"), [("allow", 2, 0), ("forbid", 1, 0), ("replace", 2, 1)]
    )
    def test_one_that_still_runs(
        self, platform: Platform, app: App, user: User, policy: str, wanted: int, stopped: int
    ) -> None:
        app = self.live(platform, user, app, {**self.ENTRY, "policy": policy})
        cron.start_due(str(app.id), self.NOON)
        cron.start_due(str(app.id), self.NOON + timedelta(minutes=5))
        assert self.started(app) == wanted
        assert OneOff.objects.filter(app=app, stop_requested=True).count() == stopped

    def test_what_is_replaced_is_stopped_only_when_another_starts(
        self, platform: Platform, app: App, user: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app = self.live(platform, user, app, {**self.ENTRY, "policy": "replace"})
        cron.start_due(str(app.id), self.NOON)
        platform.agent.host.__class__.objects.update(seen_at=timezone.now() - timedelta(minutes=5))
        cron.start_due(str(app.id), self.NOON + timedelta(minutes=5))
        assert (self.started(app), OneOff.objects.filter(stop_requested=True).count()) == (1, 0)
        platform.agent.host.__class__.objects.update(seen_at=timezone.now())
        monkeypatch.setattr(cron, "AT_ONCE", 1)
        cron.start_due(str(app.id), self.NOON + timedelta(minutes=6))
        assert (self.started(app), OneOff.objects.filter(stop_requested=True).count()) == (2, 1)

    def test_by_hand(self, platform: Platform, app: App, user: User) -> None:
        app = self.live(platform, user, app, {**self.ENTRY, "policy": "forbid"})
        apps.set_maintenance(user, app, True)
        (row,) = scheduled(app)
        cron.set_paused(user, app, row.id, True)
        due = CronJob.objects.get(app=app).next_at
        one_off = cron.run_now(user, app, row.id)
        assert (one_off.command, one_off.user, self.started(app)) == ("tidy up", user, 1)
        job = CronJob.objects.get(app=app)
        assert (job.next_at, job.one_off, job.paused) == (due, one_off, True)
        assert job.last_at is not None
        with pytest.raises(Conflict, match=f"{one_off.name} of the time before still runs"):
            cron.run_now(user, app, row.id)
        with pytest.raises(NotFound, match="00000000"):
            cron.run_now(user, app, "00000000")
        (event,) = Event.objects.filter(app=app, action="cron.run")
        assert entry(event).what == f"started {one_off.name}, which is scheduled at */5 * * * *"

    def test_by_hand_it_replaces_what_runs(self, platform: Platform, app: App, user: User) -> None:
        app = self.live(platform, user, app, {**self.ENTRY, "policy": "replace"})
        (row,) = scheduled(app)
        first, second = (cron.run_now(user, app, row.id) for _ in range(2))
        first.refresh_from_db()
        assert (first.stop_requested, second.stop_requested) == (True, False)

    def test_paused_until_resumed(self, platform: Platform, app: App, user: User) -> None:
        app = self.live(platform, user, app, self.ENTRY, {"command": "b", "schedule": "@daily"})
        row, other = scheduled(app)
        for _ in range(2):
            cron.set_paused(user, app, row.id, True)
        cron.start_due(str(app.id), self.NOON)
        assert OneOff.objects.get(app=app).command == "b"
        row, other = scheduled(app)
        assert (row.paused, row.next_at, other.paused) == (True, None, False)
        assert cron.due_apps(self.NOON) == []
        cron.set_paused(user, app, row.id, False)
        assert CronJob.objects.get(app=app, number=0).next_at > timezone.now(), "nothing is made up for"
        words = [entry(event).what for event in Event.objects.filter(app=app, action__startswith="cron.")]
        assert words == [
            f"{done} the scheduled command {row.id} (*/5 * * * *)" for done in ("paused", "resumed")
        ]

    def test_paused_whatever_code_comes(self, platform: Platform, app: App, user: User) -> None:
        app = self.live(platform, user, app, self.ENTRY, {"command": "b", "schedule": "@daily"})
        cron.set_paused(user, app, scheduled(app)[0].id, True)
        moved = {**self.ENTRY, "schedule": "@hourly"}
        go_live(platform, user, app, "b" * 40, cron=[{"command": "b", "schedule": "@daily"}, moved])
        found = scheduled(App.objects.get(id=app.id))
        assert [(one.command, one.paused) for one in found] == [("b", False), ("tidy up", True)]

    def test_maintenance(self, platform: Platform, app: App, user: User) -> None:
        other = {"command": "always", "schedule": "*/5 * * * *", "maintenance": True}
        app = self.live(platform, user, app, self.ENTRY, other)
        apps.set_maintenance(user, app, True)
        cron.start_due(str(app.id), self.NOON)
        assert OneOff.objects.get(app=app).command == "always"

    def test_the_schedule_is_that_of_the_code_which_serves(
        self, platform: Platform, app: App, user: User
    ) -> None:
        app = self.live(platform, user, app, self.ENTRY, {"command": "b", "schedule": "@daily"})
        first = app.current_release
        assert first is not None
        go_live(platform, user, app, "b" * 40, cron=[self.ENTRY])
        kept = CronJob.objects.get(app=app)
        assert kept.next_at == self.NOON.replace(second=0), "what stays keeps its time"
        go_live(platform, user, app, "c" * 40)
        cron.start_due(str(app.id), self.NOON)
        assert self.started(app) == 0
        assert not CronJob.objects.exists()
        releases.rollback(user, app, first)
        platform.settle()
        assert CronJob.objects.filter(app=app).count() == 2

    def test_the_look_finds_what_is_due(self, platform: Platform, app: App, user: User) -> None:
        app = self.live(platform, user, app, self.ENTRY)
        CronJob.objects.update(next_at=timezone.now() - timedelta(seconds=1))
        schedules.look()
        schedules.look()
        assert self.started(app) == 1

    def test_a_schedule_that_never_comes_fails_the_build(self) -> None:
        said = {
            "process_types": {"web": "a"},
            "declared": {"cron": [{"command": "x", "schedule": "0 0 30 2 *"}]},
        }
        with pytest.raises(InvalidParams, match="entry 1 of `cron`") as raised:
            builds.read_result(json.dumps(said))
        assert raised.value.id == "app_json_invalid"


def test_what_is_scheduled_is_shown(platform: Platform, app: App, user: User) -> None:
    go_live(platform, user, app, "a" * 40, cron=[TestCron.ENTRY])
    CronJob.objects.create(app=app, number=1, schedule="@daily", command="gone", next_at=TestCron.NOON)
    app.refresh_from_db()
    (row,) = scheduled(App.objects.get(id=app.id))
    assert (row.command, row.concurrency_policy, row.last_at) == ("tidy up", "allow", None)
