"""Housekeeping: what nothing needs any more goes after its time; what serves, runs or is on its way stays."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session
from django.utils import timezone

from paas.controller import streams
from paas.controller.models import App, Build, BuildLog, Event, OneOff, Release, Slug, Stack, Token, User
from paas.controller.redis_connection import client as redis_client
from paas.controller.redis_connection import forget_connections
from paas.controller.services import builds, images, logs
from paas.controller.services.accounts import create_token
from paas.controller.services.apps import create_app, repository_path
from paas.controller.services.config import set_config
from paas.controller.services.releases import release_slug, rollback
from paas.controller.tasks.housekeeping import housekeeping
from paas.errors import InvalidParams, NotFound
from tests.integration.controller.conftest import deploy, make_slug, run
from tests.integration.controller.machines import Platform, post

pytestmark = pytest.mark.integration


@pytest.fixture
def keep(settings: Any) -> Callable[[int], None]:
    def set_kept(count: int) -> None:
        settings.PAAS = dataclasses.replace(django_settings.PAAS, releases_kept=count)

    return set_kept


def ago(**time_: float) -> Any:
    return timezone.now() - timedelta(**time_)


def versions(app: App) -> list[int]:
    return list(app.releases.values_list("version", flat=True))


class TestReleases:
    def test_the_oldest_go(
        self, platform: Platform, live: App, user: User, keep: Callable[[int], None]
    ) -> None:
        for number in range(6):
            set_config(user, live, {"A": str(number)})
        platform.settle()
        keep(3)
        housekeeping()
        assert versions(live) == [6, 7, 8]
        housekeeping()
        assert versions(live) == [6, 7, 8]

    def test_what_serves_stays_however_old(
        self, platform: Platform, live: App, user: User, keep: Callable[[int], None]
    ) -> None:
        platform.agent.obeys = lambda spec: (
            "up" if spec.container.env["PAAS_RELEASE_VERSION"] == "v2" else "crashed"  # type: ignore[return-value]
        )
        for number in range(4):
            set_config(user, live, {"A": str(number)})
            platform.settle()
        keep(2)
        housekeeping()
        assert versions(live) == [2, 5, 6]
        live.refresh_from_db()
        assert live.current_release.version == 2
        assert len(platform.edge.route("shop").backends) == 1

    @pytest.mark.parametrize("count", [0, 1])
    def test_what_is_on_its_way_stays(
        self, platform: Platform, live: App, user: User, keep: Callable[[int], None], count: int
    ) -> None:
        set_config(user, live, {"A": "1"})
        keep(count)
        housekeeping()
        assert versions(live) == [2, 3]
        platform.settle()
        housekeeping()
        assert versions(live) == [3]

    def test_what_a_one_off_runs_in_stays(
        self, platform: Platform, live: App, user: User, keep: Callable[[int], None]
    ) -> None:
        job = run(user, live, "sleep 99")
        platform.worker.drain()
        for number in range(3):
            set_config(user, live, {"A": str(number)})
        platform.settle()
        keep(1)
        housekeeping()
        assert versions(live) == [2, 5]
        OneOff.objects.filter(id=job.id).update(finished_at=timezone.now())
        housekeeping()
        assert versions(live) == [5]

    def test_each_app_has_its_own_number(self, user: User, app: App, keep: Callable[[int], None]) -> None:
        other = create_app(user, "other")
        for number in range(4):
            set_config(user, app, {"A": str(number)})
        keep(2)
        housekeeping()
        assert (versions(app), versions(other)) == ([4, 5], [1])

    def test_a_slug_stays_as_long_as_a_release_could_bring_it_back(
        self, platform: Platform, live: App, user: User, keep: Callable[[int], None]
    ) -> None:
        first = live.releases.get(version=2)
        deploy(user, live, "b" * 40)
        platform.settle()
        Slug.objects.update(created_at=ago(days=9))
        housekeeping()
        assert Slug.objects.count() == 2
        rollback(user, live, first)
        platform.settle()
        keep(1)
        housekeeping()
        assert [slug.id for slug in Slug.objects.all()] == [first.slug_id]


class TestRows:
    def test_what_is_old_enough_goes(self, user: User, live: App, platform: Platform) -> None:
        young, old = make_slug(live, "e" * 40), make_slug(live, "f" * 40)
        Slug.objects.filter(id=old.id).update(created_at=ago(minutes=61))
        jobs = [run(user, live, "true") for _ in range(3)]
        OneOff.objects.filter(id=jobs[0].id).update(finished_at=ago(days=2))
        OneOff.objects.filter(id=jobs[1].id).update(finished_at=ago(hours=2))
        expired, _ = create_token(user, expires_in=5)
        Token.objects.filter(id=expired.id).update(expires_at=ago(days=31))
        create_token(user)
        event = Event.objects.first()
        Event.objects.filter(id=event.id).update(at=ago(days=366))
        Session.objects.create(session_key="old", expire_date=ago(days=1))
        Session.objects.create(session_key="new", expire_date=ago(days=-1))
        housekeeping()
        assert set(Slug.objects.filter(releases=None)) == {young}
        assert {one.id for one in OneOff.objects.all()} == {jobs[1].id, jobs[2].id}
        assert Token.objects.count() == 1
        assert not Event.objects.filter(id=event.id).exists()
        assert Event.objects.exists()
        assert [one.session_key for one in Session.objects.all()] == ["new"]

    def test_old_builds_go_with_their_output(
        self, user: User, app: App, keep: Callable[[int], None], tmp_path: Path
    ) -> None:
        (tmp_path / "tar").touch()
        made = []
        for _ in range(4):
            made.append(builds.create_build(user, app, source_file=tmp_path / "tar"))
            builds.fail(made[-1], "no", "no")
        running = builds.create_build(user, app, source_file=tmp_path / "tar")
        assert BuildLog.objects.count() == 4
        keep(2)
        housekeeping()
        assert set(Build.objects.all()) == {made[-1], running}
        assert BuildLog.objects.count() == 1


class TestImages:
    def store(self, text: bytes, age: float = 7200) -> str:
        digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
        images.store_image(digest, [text])
        path = images.image_path(digest)
        os.utime(path, (time.time() - age,) * 2)
        return digest

    def test_what_nothing_names_goes_after_its_grace(self, live: App, user: User) -> None:
        unused, young, stack, frozen, slug = (self.store(name) for name in (b"1", b"2", b"3", b"4", b"5"))
        os.utime(images.image_path(young))
        Stack.objects.create(name="other", run_layers=[{"digest": stack}], build_layers=[{"digest": stack}])
        Stack.objects.filter(name="debian-13").update(run_layers=[{"digest": frozen, "size": 1}])
        made = make_slug(live, "e" * 40)
        Slug.objects.filter(id=made.id).update(digest=slug)
        made.refresh_from_db()
        release_slug(user, live, made, "Deploy")
        Stack.objects.filter(name="debian-13").update(run_layers=[])
        housekeeping()
        there = {
            digest for digest in (unused, young, stack, frozen, slug) if images.image_path(digest).exists()
        }
        assert there == {young, stack, frozen, slug}, (
            "a release still has the layers that its stack no longer has"
        )

    def test_half_an_upload_goes(self, database: None) -> None:
        digest = self.store(b"x", age=0)
        half = images.image_path(digest).with_name(".half.123")
        half.write_bytes(b"y")
        os.utime(half, (0, 0))
        housekeeping()
        assert not half.exists()
        assert images.image_path(digest).exists()

    def test_one_that_is_built_again_is_spared(self, platform: Platform) -> None:
        """A host asks whether the image is there before it uploads it; the row that names it comes later."""
        for method, body in (("HEAD", b""), ("PUT", b"again")):
            digest = self.store(b"again")
            assert post(f"/internal/images/{digest}", body, method=method).status_code in (200, 201)
            housekeeping()
            assert images.image_path(digest).exists(), method

    def test_bytes_that_are_not_what_they_say(self, database: None) -> None:
        digest = f"sha256:{'0' * 64}"
        with pytest.raises(InvalidParams):
            images.store_image(digest, [b"evil"])
        with pytest.raises(NotFound):
            images.store_image("sha256:../x", [b"evil"])
        assert list(images.image_path(digest).parent.iterdir()) == []

    def test_a_stream_that_breaks_off_leaves_nothing(self, database: None) -> None:
        digest = f"sha256:{'0' * 64}"

        def broken() -> Any:
            yield b"half"
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            images.store_image(digest, broken())
        assert list(images.image_path(digest).parent.iterdir()) == []


class TestOrphans:
    def aged(self, path: Path, age: float = 7200) -> Path:
        os.utime(path, (time.time() - age,) * 2)
        return path

    def test_sources_and_repositories(self, user: User, app: App, tmp_path: Path) -> None:
        (tmp_path / "tar").touch()
        build = builds.create_build(user, app, source_file=tmp_path / "tar")
        kept = self.aged(builds.source_path(build.id))
        orphan, young = (kept.with_name(f"{name}.tar") for name in ("orphan", "young"))
        orphan.touch()
        young.touch()
        self.aged(orphan)
        mine = Path(repository_path(app))
        gone, fresh = (mine.with_name(f"{name}.git") for name in ("gone", "fresh"))
        for folder in (mine, gone, fresh):
            (folder / "objects").mkdir(parents=True)
        self.aged(mine)
        self.aged(gone)
        housekeeping()
        assert [path.exists() for path in (kept, orphan, young)] == [True, False, True]
        assert [path.exists() for path in (mine, gone, fresh)] == [True, False, True]

    def test_late_lines_of_a_destroyed_app(self, app: App) -> None:
        gone = "00000000-0000-0000-0000-000000000000"
        for app_id in (str(app.id), gone):
            logs.write([logs.Line(app_id, "app", "web.1", "bye", time.time())])
        redis_client().set("something-else", "1")
        housekeeping()
        assert redis_client().exists(streams.app_log(app.id))
        assert not redis_client().exists(streams.app_log(gone))
        assert redis_client().exists("something-else")


def test_one_chore_that_fails_keeps_none_of_the_others_from_being_done(
    user: User, app: App, keep: Callable[[int], None], settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(4):
        set_config(user, app, {"A": str(number)})
    gone = Path(repository_path(app)).with_name("gone.git")
    gone.mkdir(parents=True)
    os.utime(gone, (0, 0))
    keep(2)
    (settings.PAAS.home / "builder.json").write_text("not JSON")
    (settings.PAAS.home / "images" / "sha256").mkdir(parents=True)
    (settings.PAAS.home / "images" / "sha256" / "x").touch()
    os.utime(settings.PAAS.home / "images" / "sha256" / "x", (0, 0))
    settings.REDIS_URL = f"unix://{settings.PAAS.home}/run/nobody.sock"
    forget_connections()
    with caplog.at_level(logging.ERROR):
        housekeeping()
    (settings.PAAS.home / "builder.json").unlink()
    assert "sweep_images failed" in caplog.text
    assert "sweep_logs failed" in caplog.text
    assert Release.objects.filter(app=app).count() == 2
    assert not gone.exists()
