"""Everybody at once: plans, reports, changes and restarts of the same apps, without a deadlock or a lost change.

PostgreSQL kills one of two transactions that wait for each other; SQLite has one lock and only shows what is lost.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection

from paas.controller.models import App, Deployment, Instance, User
from paas.controller.selectors.config import config_vars
from paas.controller.selectors.formation import formation
from paas.controller.services import instances, one_offs
from paas.controller.services.apps import create_app, destroy_app, set_maintenance
from paas.controller.services.config import set_config
from paas.controller.services.formation import FormationUpdate, scale
from paas.controller.services.planning import reconcile_app
from paas.controller.services.reports import take_host_report, take_router_report
from paas.controller.tasks.ticks import tick
from paas.errors import PaasError
from tests.integration.controller.conftest import deploy, run
from tests.integration.controller.machines import Platform
from tests.integration.controller.threads import failures, together

pytestmark = pytest.mark.integration

SECONDS = 3.0


def test_everybody_at_once(platform: Platform, live: App, user: User) -> None:
    other = create_app(user, "other")
    deploy(user, other, "b" * 40)
    platform.settle()
    counted: dict[str, int] = {"config": 0, "web": 1}
    rounds = Rounds(SECONDS)

    def configure() -> None:
        number = counted["config"] + 1
        set_config(user, live, {f"KEY_{number}": "x", "LAST": str(number)})
        counted["config"] = number

    def grow() -> None:
        wish = random.choice(["+1", "-1"])
        try:
            scale(user, live, [FormationUpdate("web", wish)])
        except PaasError:
            return
        counted["web"] += int(wish)

    def machines_work() -> None:
        platform.agent.obey()
        take_host_report(platform.agent.host, platform.agent.report())
        platform.worker.drain(without=("builds.run_build",), limit=10_000)
        take_router_report(platform.edge.router, platform.edge.report())

    def somebody_runs() -> None:
        job = run(user, live, "true")
        one_offs.stop_one_off(user, job)

    everybody: list[Callable[[], object]] = [
        configure,
        grow,
        machines_work,
        somebody_runs,
        lambda: reconcile_app(live.id),
        lambda: reconcile_app(other.id),
        lambda: instances.restart(user, live),
        lambda: set_maintenance(user, other, random.random() < 0.5),
        lambda: deploy(user, other, f"{random.randrange(10**9):040d}"),
        lambda: take_host_report(platform.agent.host, platform.agent.report()),
        tick,
    ]
    results = together(*[lambda one=one: rounds.repeat(one) for one in everybody])
    assert failures(results) == []
    assert min(results) > 0, "everybody had a turn"
    platform.settle(rounds=60)
    assert config_vars(live)["LAST"] == str(counted["config"])
    assert len(config_vars(live)) == counted["config"] + 1
    assert {row.type: row.quantity for row in formation(live)}["web"] == counted["web"]
    for app in (live, other):
        versions = list(app.releases.values_list("version", flat=True))
        assert versions == list(range(1, len(versions) + 1))
        assert not Deployment.objects.filter(app=app, status="active").exists()
    assert Instance.objects.filter(app=live, wanted="run").count() == counted["web"]
    assert {str(one.id) for one in Instance.objects.all()} == set(platform.agent.instances)


def test_destroying_in_the_middle_of_it(platform: Platform, live: App, user: User) -> None:
    rounds = Rounds(1.5)
    calm = (PaasError, App.DoesNotExist)

    def tolerant(call: Callable[[], object]) -> Callable[[], object]:
        def attempt() -> None:
            try:
                call()
            except calm:
                time.sleep(0.01)

        return attempt

    def make_and_destroy() -> None:
        app = create_app(user, "short-lived")
        deploy(user, app, "c" * 40)
        reconcile_app(app.id)
        destroy_app(user, app)

    def named() -> App:
        return App.objects.get(name="short-lived")

    calls = [
        make_and_destroy,
        tolerant(lambda: set_config(user, named(), {"A": str(random.random())})),
        tolerant(lambda: instances.restart(user, named())),
        tolerant(lambda: reconcile_app(named().id)),
        tolerant(lambda: run(user, named(), "true")),
        lambda: take_host_report(platform.agent.host, platform.agent.report()),
        tick,
    ]
    results = together(*[lambda one=one: rounds.repeat(one) for one in calls])
    assert failures(results) == []
    platform.settle(rounds=60)
    assert list(App.objects.all()) == [live]
    assert {str(one.id) for one in Instance.objects.all()} == set(platform.agent.instances)


class Rounds:
    """Repeats calls until the time is over."""

    def __init__(self, seconds: float) -> None:
        self._over = threading.Event()
        self._until = time.monotonic() + seconds

    def repeat(self, call: Callable[[], object]) -> int:
        count = 0
        while time.monotonic() < self._until and not self._over.is_set():
            try:
                call()
            except BaseException:
                self._over.set()
                raise
            count += 1
        connection.close()
        return count
