"""The timer finds in the rows what every lost message left undone, and costs next to nothing when there is nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from paas.controller.models import App, Build, Deployment, Host, Instance, OneOff, Release, Router, User
from paas.controller.redis_connection import forget_connections
from paas.controller.services import build_queue, builds, instances, one_offs
from paas.controller.services.apps import create_app
from paas.controller.services.config import set_config
from paas.controller.services.formation import FormationUpdate, scale
from paas.controller.tasks.ticks import apps_short_of_instances, apps_to_look_at, lost_hosts, tick
from tests.integration.controller.conftest import deploy, run
from tests.integration.controller.crowd import fill
from tests.integration.controller.machines import Agent, Platform, Worker

pytestmark = pytest.mark.integration


def minutes_ago(count: float) -> Any:
    return timezone.now() - timedelta(minutes=count)


def live_by_ticks_alone(platform: Platform, rounds: int = 12) -> None:
    """Nothing but the timer and the machines' own reports: every hint is lost."""
    for _ in range(rounds):
        platform.worker.lose()
        tick()
        platform.worker.lose()
        platform.agent.tell()
        platform.agent.obey()
        platform.agent.tell()
        platform.edge.tell()


def test_a_deploy_without_any_message(platform: Platform, app: App, user: User) -> None:
    deploy(user, app, "a" * 40)
    live_by_ticks_alone(platform)
    assert Deployment.objects.get(release__version=2).status == "succeeded"
    set_config(user, app, {"A": "1"})
    scale(user, app, [FormationUpdate("web", 3)])
    live_by_ticks_alone(platform)
    app.refresh_from_db()
    assert app.current_release.version == 4
    assert len(platform.edge.route("shop").backends) == 3
    instances.restart(user, app)
    before = set(platform.agent.instances)
    live_by_ticks_alone(platform)
    assert before.isdisjoint(platform.agent.instances)
    instances.stop_instance(user, app, "web.1")
    live_by_ticks_alone(platform)
    assert len(platform.edge.route("shop").backends) == 3


def test_an_instance_whose_row_is_gone_is_made_again(platform: Platform, live: App) -> None:
    Instance.objects.all().delete()
    live_by_ticks_alone(platform)
    assert len(platform.edge.route("shop").backends) == 1


def test_numbers_are_compared_type_by_type(platform: Platform, live: App, user: User) -> None:
    scale(user, live, [FormationUpdate("web", 1), FormationUpdate("worker", 1)])
    platform.settle()
    assert apps_short_of_instances() == set()
    Instance.objects.filter(process_type="worker").update(process_type="web")
    assert apps_short_of_instances() == {live.id}


def test_the_apps_of_a_lost_host_are_found(
    platform: Platform, live: App, make_host: Callable[..., Agent]
) -> None:
    Host.objects.filter(id=platform.agent.host.id).update(seen_at=minutes_ago(2))
    assert apps_to_look_at(timezone.now(), lost_hosts(timezone.now())) == set(), "nowhere to go"
    make_host("two", down=True)
    assert apps_to_look_at(timezone.now(), lost_hosts(timezone.now())) == {live.id}
    tick()
    assert Instance.objects.get(app=live, wanted="run").host.name == "two"


def test_one_offs_of_a_lost_host_are_given_up(
    platform: Platform, live: App, user: User, make_host: Callable[..., Agent]
) -> None:
    job = run(user, live, "sleep 99")
    platform.worker.drain()
    deploy(user, live, "b" * 40, web="serve", release="migrate")
    platform.worker.drain()
    Host.objects.update(seen_at=minutes_ago(2))
    OneOff.objects.update(updated_at=minutes_ago(2))
    tick()
    job.refresh_from_db()
    assert job.finished_at is None, "no host answers: it is this side that is deaf"
    make_host("two", down=True)
    tick()
    job.refresh_from_db()
    assert job.exit["reason"] == "lost"
    tick()
    deployment = Deployment.objects.get(release__version=3)
    assert (deployment.status, deployment.error_id) == ("failed", "release_command_failed")


def test_messages_to_machines_are_sent_again(platform: Platform, live: App, user: User) -> None:
    unsent, stopping = run(user, live, "true"), run(user, live, "sleep 99")
    OneOff.objects.filter(id=stopping.id).update(sent_at=timezone.now())
    one_offs.stop_one_off(user, stopping)
    Host.objects.update(generation=99)
    platform.edge.router.refresh_from_db()
    Router.objects.update(applied=0)
    platform.worker.lose()
    tick()
    names = [name for name, _ in platform.worker.waiting()]
    assert sorted(names) == ["hosts.push_host", "routing.push_routers"], "one-offs were sent a moment ago"
    OneOff.objects.update(updated_at=minutes_ago(1))
    platform.worker.lose()
    tick()
    waiting = platform.worker.waiting()
    assert ("one_offs.send_one_off", (str(unsent.id),)) in waiting
    assert ("one_offs.stop_one_off", (str(stopping.id),)) in waiting
    assert len(waiting) == 4


def test_machines_that_do_not_answer_are_left_alone(platform: Platform, live: App, user: User) -> None:
    """Each message to one would hold up a worker for seconds, every two seconds."""
    run(user, live, "true")
    OneOff.objects.update(updated_at=minutes_ago(1))
    Host.objects.update(generation=99, seen_at=minutes_ago(1))
    Router.objects.update(applied=0, seen_at=minutes_ago(1))
    platform.worker.lose()
    tick()
    assert platform.worker.waiting() == []


def test_builds_are_asked_for_again(app: App, user: User, worker: Worker, tmp_path: Path) -> None:
    (tmp_path / "tar").touch()
    build = builds.create_build(user, app, source_file=tmp_path / "tar")
    worker.lose()
    tick()
    assert worker.waiting() == [("builds.run_build", (str(build.id),))]
    worker.lose()
    build_queue.claim(build.id, "one that dies")
    tick()
    assert worker.waiting() == []
    Build.objects.update(heartbeat_at=minutes_ago(1))
    tick()
    assert worker.waiting() == [("builds.run_build", (str(build.id),))]


def test_one_app_that_cannot_be_planned_stops_no_other(
    platform: Platform, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    apps = [create_app(user, f"app-{number}") for number in range(4)]
    for app in apps:
        deploy(user, app, "a" * 40)
    poisoned = Release.objects.get(app=apps[1], version=2)
    # Past the model's guard, as no service can make such a row.
    QuerySet(Release).filter(id=poisoned.id).update(formation={"web": {"quantity": 1}})
    platform.worker.lose()
    with caplog.at_level(logging.ERROR):
        tick()
    assert f"app {apps[1].id} cannot be planned" in caplog.text
    assert {one.app.name for one in Instance.objects.all()} == {"app-0", "app-2", "app-3"}
    assert Deployment.objects.get(release=poisoned).status == "active"


def test_without_redis_planning_goes_on(platform: Platform, app: App, user: User, settings: Any) -> None:
    settings.REDIS_URL = f"unix://{settings.PAAS.home}/run/nobody.sock"
    forget_connections()
    deploy(user, app, "a" * 40)
    tick()
    assert Instance.objects.filter(app=app).count() == 1


class TestCost:
    """With 50 apps of three instances and forty releases each, and nothing to do."""

    @pytest.fixture
    def idle(self, user: User, make_host: Callable[..., Agent]) -> None:
        fill(user, make_host(down=True).host, 50, history=40)
        tick()

    def test_a_fixed_number_of_queries(self, idle: None) -> None:
        with CaptureQueriesContext(connection) as few:
            tick()
        assert len(few) <= 13, "\n".join(query["sql"][:150] for query in few)

    def test_under_20_milliseconds(self, idle: None) -> None:
        times = []
        for _ in range(7):
            began = time.thread_time()
            tick()
            times.append(time.thread_time() - began)
        assert min(times) < 0.020
