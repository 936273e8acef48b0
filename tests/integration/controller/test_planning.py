"""The shell around the scheduler: one transaction, safe to repeat, to overlap and to lose at any point."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from paas.controller.models import App, Deployment, Host, Instance, RouteVersion, User
from paas.controller.selectors.planning import snapshot
from paas.controller.services.apps import create_app
from paas.controller.services.formation import FormationUpdate, scale
from paas.controller.services.planning import reconcile_app
from paas.controller.services.reports import take_host_report
from runtime.model import InstanceState
from tests.integration.controller.conftest import deploy
from tests.integration.controller.crowd import fill
from tests.integration.controller.machines import GIB, Agent, Platform, Worker
from tests.integration.controller.threads import failures, together

pytestmark = pytest.mark.integration


@pytest.fixture
def one_instance_per_app() -> Iterator[None]:
    """A constraint that the second instance of an app violates."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX only_one ON controller_instance (app_id)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX only_one")


def facts(app: App) -> dict[str, Any]:
    """Return everything that a plan changes."""
    instances = Instance.objects.filter(app=app).order_by("id")
    deployments = Deployment.objects.filter(app=app).order_by("id")
    return {
        "instances": list(instances.values("id", "wanted", "template", "state")),
        "deployments": list(deployments.values("id", "status", "phase", "timings")),
        "current": App.objects.get(id=app.id).current_release_id,
        "generations": list(Host.objects.order_by("id").values_list("generation", flat=True)),
        "routes": list(RouteVersion.objects.values_list("version", flat=True)),
    }


def test_a_crash_in_the_middle_leaves_nothing_half_done(
    platform: Platform, live: App, user: User, worker: Worker, one_instance_per_app: None
) -> None:
    scale(user, live, [FormationUpdate("web", 3)])
    worker.lose()
    before = facts(live)
    with pytest.raises(IntegrityError):
        reconcile_app(live.id)
    assert facts(live) == before
    assert worker.waiting() == [], "nobody is told of what has not happened"


def test_after_the_crash_it_goes_on_from_there(platform: Platform, live: App, user: User) -> None:
    scale(user, live, [FormationUpdate("web", 3)])
    with connection.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX only_one ON controller_instance (app_id)")
    try:
        with pytest.raises(IntegrityError):
            reconcile_app(live.id)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX only_one")
    platform.settle()
    assert len(platform.edge.route("shop").backends) == 3


def test_many_workers_at_once_make_one_plan(platform: Platform, app: App, user: User) -> None:
    deploy(user, app, "a" * 40)
    platform.worker.lose()
    results = together(*[lambda: reconcile_app(app.id)] * 6)
    assert failures(results) == []
    assert sorted(results)[:5] == [0] * 5
    assert Instance.objects.filter(app=app).count() == 1


def test_two_apps_are_not_promised_the_same_memory(user: User, make_host: Callable[..., Agent]) -> None:
    """There is room for one large instance, and two apps look for it at the same moment."""
    host = make_host(down=True).host
    Host.objects.filter(id=host.id).update(memory_bytes=9 * GIB)
    apps = [create_app(user, f"app-{number}") for number in range(4)]
    for app in apps:
        deploy(user, app, "a" * 40, web="serve")
        scale(user, app, [FormationUpdate("web", 1, "performance-l")])
    assert failures(together(*[lambda app=app: reconcile_app(app.id) for app in apps])) == []
    assert Instance.objects.count() == 1


def test_an_app_that_is_gone(app: App) -> None:
    app_id = app.id
    App.objects.filter(id=app_id).update(current_release=None)
    app.delete()
    assert reconcile_app(app_id) == 0


def test_what_a_host_must_do_is_numbered_once_a_plan(platform: Platform, live: App, user: User) -> None:
    before = Host.objects.get(id=platform.agent.host.id).generation
    scale(user, live, [FormationUpdate("web", 4)])
    reconcile_app(live.id)
    assert Host.objects.get(id=platform.agent.host.id).generation == before + 1


def test_apps_are_spread_over_hosts(user: User, app: App, make_host: Callable[..., Agent]) -> None:
    for name in ("one", "two", "three"):
        make_host(name, down=True)
    deploy(user, app, "a" * 40)
    scale(user, app, [FormationUpdate("web", 6)])
    reconcile_app(app.id)
    assert sorted(host.instances.count() for host in Host.objects.all()) == [2, 2, 2]


def test_what_a_lost_host_held_is_started_elsewhere(
    platform: Platform, live: App, make_host: Callable[..., Agent]
) -> None:
    lost = platform.agent.host
    make_host("two", down=True)
    Host.objects.filter(id=lost.id).update(seen_at=timezone.now() - timedelta(seconds=61))
    reconcile_app(live.id)
    (one,) = Instance.objects.filter(app=live, wanted="run")
    assert one.host.name == "two"


class TestCost:
    """At 200 apps with three instances each."""

    def test_a_snapshot_takes_a_fixed_number_of_queries(
        self, user: User, make_host: Callable[..., Agent], django_assert_num_queries: Callable[..., Any]
    ) -> None:
        apps = fill(user, make_host(down=True).host, 200)
        with django_assert_num_queries(7):  # the last for what runs and neither release wants, as here
            seen = snapshot(apps[100])
        assert len(seen.instances) == 3
        (host,) = seen.hosts
        assert host.instances_of_app == 3
        assert host.free_bytes == 16 * GIB - 200 * 3 * 512 * 1024**2 // 2

    def test_a_plan_with_nothing_to_do_is_cheap(
        self, user: User, make_host: Callable[..., Agent], django_assert_max_num_queries: Callable[..., Any]
    ) -> None:
        apps = fill(user, make_host(down=True).host, 200)
        with django_assert_max_num_queries(13):
            assert reconcile_app(apps[0].id) == 0
        assert cpu(lambda: reconcile_app(apps[1].id)) < 0.030

    def test_a_report_of_600_instances(self, user: User, make_host: Callable[..., Agent]) -> None:
        agent = make_host(down=True)
        fill(user, agent.host, 200)
        for one in Instance.objects.all():
            agent.set(str(one.id), InstanceState.UP, address=one.address, port=one.port)
        take_host_report(agent.host, agent.report())
        assert cpu(lambda: take_host_report(agent.host, agent.report())) < 0.100


def cpu(call: Callable[[], object]) -> float:
    """Return the least processor time of a few calls, in seconds."""
    times = []
    for _ in range(5):
        began = time.thread_time()
        call()
        times.append(time.thread_time() - began)
    return min(times)
