"""The route table: what serves, nothing else, and the right page where nothing does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from paas.controller.models import App, Instance, User
from paas.controller.selectors.routes import route_table, route_version
from paas.controller.selectors.wanted import wanted_state
from paas.controller.services.apps import set_maintenance
from paas.controller.services.config import set_config
from paas.controller.services.formation import FormationUpdate, scale
from paas.controller.services.planning import reconcile_app
from paas.controller.services.releases import rollback
from paas.router.table import RouteTable, check_table, decode, encode
from runtime.model import InstanceState
from tests.integration.controller.conftest import deploy
from tests.integration.controller.crowd import fill
from tests.integration.controller.machines import Agent, Platform

pytestmark = pytest.mark.integration


def names(app: str = "shop") -> list[tuple[str, bool]]:
    (route,) = [one for one in route_table().apps if one.name == app]
    return [(one.name, one.draining) for one in route.backends]


def empty(app: str = "shop") -> str:
    (route,) = [one for one in route_table().apps if one.name == app]
    return route.empty.value


def step(platform: Platform) -> None:
    platform.worker.drain()
    platform.agent.obey()
    platform.agent.tell()


def test_before_the_first_deploy(app: App) -> None:
    assert (names(), empty()) == ([], "no_release")


def test_while_the_first_instances_start(platform: Platform, app: App, user: User) -> None:
    platform.agent.obeys = lambda spec: InstanceState.STARTING
    deploy(user, app, "a" * 40)
    for _ in range(3):
        step(platform)
    assert (names(), empty()) == ([], "no_release"), "nothing has been released yet"


def test_up_but_not_yet_cut_over_is_hidden(platform: Platform, live: App, user: User) -> None:
    scale(user, live, [FormationUpdate("web", 2)])
    platform.settle()
    platform.agent.obeys = lambda spec: (
        InstanceState.STARTING
        if spec.container.env["DYNO"] == "web.2" and "A" in spec.container.env
        else InstanceState.UP
    )
    set_config(user, live, {"A": "1"})
    for _ in range(3):
        step(platform)
    assert Instance.objects.filter(app=live, state="up", release__version=4).count() == 1
    assert names() == [("web.1", False), ("web.2", False)]
    shown = {one.id for one in route_table().apps[0].backends}
    assert {one.release.version for one in Instance.objects.filter(id__in=shown)} == {2, 3}


def test_draining_ones_stay_until_they_have_drained(platform: Platform, live: App, user: User) -> None:
    platform.edge.busy = True
    set_config(user, live, {"A": "1"})
    for _ in range(4):
        step(platform)
        platform.edge.tell()
    assert sorted(names()) == [("web.1", False), ("web.1", True)]
    platform.edge.busy = False
    platform.settle()
    assert names() == [("web.1", False)]


def test_draining_ones_stay_also_when_a_rollback_wants_their_likes_again(
    platform: Platform, live: App, user: User
) -> None:
    platform.edge.busy = True
    set_config(user, live, {"A": "1"})
    for _ in range(4):
        step(platform)
        platform.edge.tell()
    (draining,) = Instance.objects.filter(wanted="drain")
    rollback(user, live, live.releases.get(version=2))
    reconcile_app(live.id)
    draining.refresh_from_db()
    assert (draining.wanted, (draining.name, True) in names()) == ("drain", True)
    platform.edge.busy = False
    platform.settle()
    assert names() == [("web.1", False)]


STATES = [
    (["up", "up"], 2, "starting"), (["up", "unhealthy"], 1, "starting"), (["unhealthy"] * 2, 2, "starting"),
    (["crashed", "unhealthy"], 1, "crashed"), (["crashed", "starting"], 0, "crashed"),
    (["starting", "pending"], 0, "starting"), (["stopping", "stopped"], 0, "starting"),
]  # fmt: skip


def test_what_serves(platform: Platform, live: App, user: User) -> None:
    scale(user, live, [FormationUpdate("web", 2)])
    platform.settle()
    for states, served, reason in STATES:
        for one, state in zip(Instance.objects.filter(app=live).order_by("number"), states, strict=True):
            Instance.objects.filter(id=one.id).update(state=state)
        assert (len(names()), empty()) == (served, reason), states


def test_without_an_address_nothing_is_routed_to(platform: Platform, live: App) -> None:
    Instance.objects.update(address="")
    assert names() == []
    Instance.objects.update(address="10.0.0.1", port=None)
    assert names() == []


def test_maintenance_is_said_and_nothing_stops(platform: Platform, live: App, user: User) -> None:
    set_maintenance(user, live, True)
    platform.settle()
    assert platform.edge.route("shop").maintenance
    assert len(platform.edge.route("shop").backends) == 1
    before = platform.edge.table.version
    set_maintenance(user, live, True)
    platform.settle()
    assert platform.edge.table.version == before, "nothing new, no new table"
    set_maintenance(user, live, False)
    platform.settle()
    assert not platform.edge.route("shop").maintenance


def test_only_web_is_routed(platform: Platform, live: App, user: User) -> None:
    scale(user, live, [FormationUpdate("worker", 2), FormationUpdate("web", 0)])
    platform.settle()
    assert (names(), empty()) == ([], "no_web")


def test_every_change_has_a_version_of_its_own(platform: Platform, live: App, user: User) -> None:
    for number in range(3):
        set_maintenance(user, live, number % 2 == 0)
        platform.settle()
    assert platform.edge.received == sorted(set(platform.edge.received))
    assert platform.edge.table.version == route_table().version


def test_the_cost_does_not_grow_with_the_apps(
    user: User, django_assert_num_queries: Callable[..., Any], make_host: Callable[..., Agent]
) -> None:
    fill(user, make_host(down=True).host, 40)
    route_version()  # the first one makes the row
    with django_assert_num_queries(7):
        table = route_table()
    check_table(decode(encode(table), RouteTable))
    assert sum(len(app.backends) for app in table.apps) == 120


def test_the_cost_of_a_hosts_orders_does_not_grow_with_them(
    user: User, django_assert_num_queries: Callable[..., Any], make_host: Callable[..., Agent]
) -> None:
    host = make_host(down=True).host
    fill(user, host, 20)
    with django_assert_num_queries(6):
        wanted = wanted_state(host.id)
    assert len(wanted.instances) == 60
    assert {spec.container.env["PORT"] for spec in wanted.instances} == {"8080"}
