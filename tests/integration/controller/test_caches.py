"""Build caches: one per app and stack until it is purged; what is given up goes from the hosts too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from paas.controller.models import App, Event, Stack, User
from paas.controller.selectors.caches import cache_name
from paas.controller.services import builds, caches
from paas.controller.services.apps import destroy_app, set_stack
from paas.controller.tasks.builds import run_build
from paas.controller.tasks.caches import drop_caches
from runtime.model import JobState, JobStatus
from tests.integration.controller.machines import Agent, Platform, Worker

pytestmark = pytest.mark.integration


def test_a_purge_gives_the_next_build_another_cache(app: App, user: User) -> None:
    before = cache_name(app, "debian-13")
    assert cache_name(app, "debian-12") != before
    purged = caches.purge_cache(user, app)
    assert cache_name(purged, "debian-13") not in {before, cache_name(app, "debian-13")}
    assert Event.objects.filter(action="build.cache_purge", actor=user).exists()


def test_its_hosts_keep_the_present_one_only(
    platform: Platform, app: App, user: User, worker: Worker
) -> None:
    app = caches.purge_cache(user, app)
    worker.drain()
    assert platform.agent.dropped == [f"{app.id}?keep={cache_name(app, app.stack)}"]


def test_a_host_that_is_away_stops_nobody(make_host: Callable[..., Agent], app: App, user: User) -> None:
    make_host("away", down=True)
    there = make_host("there")
    drop_caches(str(app.id))
    assert there.dropped == [f"{app.id}?keep={cache_name(app, app.stack)}"]


def test_another_stack_and_an_end_give_them_up(
    platform: Platform, app: App, user: User, worker: Worker
) -> None:
    Stack.objects.create(name="debian-12")
    app = set_stack(user, app, "debian-12")
    worker.drain()
    assert platform.agent.dropped == [f"{app.id}?keep={app.id}-debian-12"]
    app_id = app.id
    destroy_app(user, app)
    worker.drain()
    assert platform.agent.dropped[1:] == [f"{app_id}"]


def test_a_purge_in_mid_build_takes_that_builds_cache_afterwards(
    platform: Platform, app: App, user: User, worker: Worker, tmp_path: Path
) -> None:
    (django_settings.PAAS.home / "builder.json").write_text(
        '{"digest": "sha256:' + "b" * 64 + '", "size": 5}'
    )
    (tmp_path / "tar").touch()
    build = builds.create_build(user, app, source_file=tmp_path / "tar")
    worker.lose()

    def purge_meanwhile(job: str) -> JobStatus:
        caches.purge_cache(user, app)
        worker.lose()  # the purge's own hint
        return JobStatus(id=job, state=JobState.FAILED, since=0.0)

    platform.agent.job_ends = purge_meanwhile
    run_build(str(build.id))
    app.refresh_from_db()
    worker.drain(without=("builds.run_build",))
    assert platform.agent.dropped == [f"{app.id}?keep={cache_name(app, app.stack)}"]
