"""What hosts and routers report: repeated, reordered, about things nobody knows, from before or from elsewhere."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest
from django.utils import timezone

from paas.controller.models import App, Host, Instance, OneOff, Router, RouteVersion, User
from paas.controller.selectors.dynos import find_dyno
from paas.controller.selectors.routes import route_table, route_version
from paas.controller.services import reports
from paas.controller.services.formation import FormationUpdate, scale
from paas.controller.services.planning import reconcile_app
from paas.router.table import BackendState, RouterReport
from runtime.model import ExitInfo, ExitReason, HostReport, InstanceState, InstanceStatus, JobState
from tests.integration.controller.conftest import deploy, run
from tests.integration.controller.machines import CRASH, Agent, Edge, Platform

pytestmark = pytest.mark.integration


def only(app: App) -> Instance:
    return Instance.objects.get(app=app)


def rows(app: App) -> list[dict[str, object]]:
    return list(Instance.objects.filter(app=app).order_by("id").values())


class TestHost:
    def test_a_repeated_report_changes_nothing(self, platform: Platform, live: App) -> None:
        platform.agent.set(str(only(live).id), InstanceState.UP, last_exit=CRASH, restarts=1)
        report = platform.agent.report()
        platform.agent.tell(report)
        platform.worker.lose()
        before, version = rows(live), route_version()
        for _ in range(3):
            platform.agent.tell(report)
        platform.agent.tell()
        assert rows(live) == before
        assert route_version() == version, "routers get no new table for nothing"
        assert platform.worker.waiting() == []

    def test_one_that_was_overtaken_is_ignored(self, platform: Platform, live: App) -> None:
        old = platform.agent.report()
        platform.agent.set(str(only(live).id), InstanceState.CRASHED, last_exit=CRASH)
        platform.agent.tell()
        platform.agent.tell(old)
        assert only(live).state == "crashed"

    def test_after_a_silence_any_counts(self, platform: Platform, live: App) -> None:
        """The host's clock was set back while its agent was away."""
        platform.agent.set(str(only(live).id), InstanceState.CRASHED, last_exit=CRASH)
        report = platform.agent.report(sequence=5)
        platform.agent.tell(report)
        assert only(live).state == "up"
        Host.objects.update(seen_at=timezone.now() - timedelta(seconds=16))
        platform.agent.tell(report)
        assert only(live).state == "crashed"

    def test_what_nobody_knows_is_left_alone(self, platform: Platform, live: App) -> None:
        before = rows(live)
        for id_ in ("no uuid", "00000000-0000-0000-0000-000000000000", "", "\0", "x" * 5000):
            platform.agent.set(id_, InstanceState.UP, address="10.9.9.9", port=1)
            platform.agent.end(id_, JobState.SUCCEEDED)
        platform.agent.tell()
        assert rows(live) == before
        assert len(route_table().apps[0].backends) == 1

    def test_instances_of_another_host_are_not_its_to_tell(
        self, platform: Platform, live: App, make_host: Callable[..., Agent]
    ) -> None:
        other = make_host("two")
        other.set(str(only(live).id), InstanceState.CRASHED)
        other.tell()
        assert only(live).state == "up"

    def test_of_an_older_generation_a_missing_instance_means_nothing(
        self, platform: Platform, live: App, user: User
    ) -> None:
        scale(user, live, [FormationUpdate("web", 0)])
        platform.worker.drain(without=("hosts.push_host",))
        platform.edge.tell()
        platform.worker.drain(without=("hosts.push_host",))
        stopping = only(live)
        assert stopping.wanted == "stop"
        kept, platform.agent.instances = platform.agent.instances, {}
        report = platform.agent.report()
        assert report.generation < Host.objects.get(id=platform.agent.host.id).generation
        reports.take_host_report(platform.agent.host, report)
        assert only(live).state == "up", "it did not know yet that it should stop it"
        platform.agent.instances = kept
        platform.settle()
        assert rows(live) == []

    def test_a_host_ahead_of_the_database_is_numbered_past(
        self, platform: Platform, live: App, user: User
    ) -> None:
        """The database is a restored copy: orders with its old numbers would all be ignored."""
        platform.agent.generation = 500
        platform.agent.tell()
        assert Host.objects.get(id=platform.agent.host.id).generation == 501
        assert platform.agent.generation == 501
        scale(user, live, [FormationUpdate("web", 2)])
        platform.settle()
        assert len(platform.agent.instances) == 2

    def test_last_words_that_no_database_takes(self, platform: Platform, live: App) -> None:
        words = ("nul \0 byte", "☃" * 3000)
        exit = ExitInfo(reason=ExitReason.NOT_STARTED, message="no\0", tail=words)
        platform.agent.set(str(only(live).id), InstanceState.CRASHED, last_exit=exit)
        platform.agent.tell()
        assert only(live).last_exit["tail"] == ["nul \N{REPLACEMENT CHARACTER} byte", "☃" * 3000]
        assert find_dyno(live, "web.1").exit_message == "could not be started: no\N{REPLACEMENT CHARACTER}"

    def test_why_one_is_not_healthy(self, platform: Platform, live: App) -> None:
        """While it is not, and how it ended for that; each in the words of its host."""
        why, identity = "GET /up was answered with status 500", str(only(live).id)
        platform.agent.set(identity, InstanceState.UNHEALTHY, health_problem=why)
        platform.agent.tell()
        assert find_dyno(live, "web.1").health_message == why
        message = f"its health check failed 3 times in a row: {why}"
        exit = ExitInfo(reason=ExitReason.UNHEALTHY, message=message)
        platform.agent.set(identity, InstanceState.CRASHED, last_exit=exit)
        platform.agent.tell()
        shown = find_dyno(live, "web.1")
        assert (shown.health_message, shown.exit_message) == ("", f"was stopped: {message}")

    def test_what_it_can_hold_is_what_it_says(self, platform: Platform, stack: object) -> None:
        platform.agent.tell()
        host = Host.objects.get(id=platform.agent.host.id)
        assert (host.memory_bytes, host.cpus) == (16 * 1024**3, 4)

    def test_a_host_that_was_removed(self, platform: Platform, live: App) -> None:
        Host.objects.all().delete()
        reports.take_host_report(platform.agent.host, platform.agent.report())

    @pytest.mark.parametrize(
        ("before", "after", "routed"),
        [
            ("up", "up", False), ("up", "unhealthy", True), ("up", "starting", True), ("up", "stopping", True),
            ("unhealthy", "crashed", True), ("crashed", "pending", True), ("pending", "starting", False),
            ("starting", "up", True),
        ],
    )  # fmt: skip
    def test_routers_hear_of_what_serves(
        self, platform: Platform, live: App, before: str, after: str, routed: bool
    ) -> None:
        id_ = str(only(live).id)
        for state in (before, after):
            version = route_version()
            platform.agent.set(id_, InstanceState(state))
            platform.agent.tell()
        assert (route_version() > version) is routed

    def test_a_new_address_is_routed_to(self, platform: Platform, live: App) -> None:
        platform.agent.set(str(only(live).id), InstanceState.UP, address="fd00::7", port=9000)
        platform.agent.tell()
        platform.settle()
        assert [(one.address, one.port) for one in platform.edge.route("shop").backends] == [
            ("fd00::7", 9000)
        ]

    def test_a_worker_that_crashes_is_no_matter_of_routers(
        self, platform: Platform, live: App, user: User
    ) -> None:
        scale(user, live, [FormationUpdate("worker", 1)])
        platform.settle()
        version = route_version()
        worker = Instance.objects.get(app=live, process_type="worker")
        platform.agent.set(str(worker.id), InstanceState.CRASHED, last_exit=CRASH)
        platform.agent.tell()
        assert route_version() == version

    def test_the_cost_does_not_grow_with_what_has_not_changed(
        self, platform: Platform, live: App, user: User, django_assert_max_num_queries: Callable[..., object]
    ) -> None:
        scale(user, live, [FormationUpdate("web", 20)])
        platform.settle()
        report = platform.agent.report()
        with django_assert_max_num_queries(6):  # type: ignore[attr-defined]
            reports.take_host_report(platform.agent.host, report)


class TestJobs:
    def test_it_ends_once(self, platform: Platform, live: App, user: User) -> None:
        job = run(user, live, "true")
        platform.worker.drain()
        platform.agent.end(
            str(job.id), JobState.FAILED, ExitInfo(reason=ExitReason.EXITED, code=3, tail=("a\0",))
        )
        platform.agent.tell()
        job.refresh_from_db()
        first = job.finished_at
        assert (job.state, job.exit["code"], job.exit["tail"]) == (
            "failed",
            3,
            ["a\N{REPLACEMENT CHARACTER}"],
        )
        platform.agent.end(str(job.id), JobState.SUCCEEDED)
        platform.agent.tell()
        job.refresh_from_db()
        assert (job.state, job.finished_at) == ("failed", first)

    def test_one_that_its_host_has_forgotten_is_lost(self, platform: Platform, live: App, user: User) -> None:
        job = run(user, live, "true")
        platform.worker.drain()
        platform.agent.jobs.clear()
        platform.agent.tell()
        job.refresh_from_db()
        assert job.finished_at is None, "this report may be older than the order"
        OneOff.objects.update(sent_at=timezone.now() - timedelta(seconds=31))
        platform.agent.tell()
        job.refresh_from_db()
        assert (job.state, job.exit["reason"]) == ("failed", "lost")

    def test_a_release_phase_that_is_lost_fails_its_deployment(
        self, platform: Platform, live: App, user: User
    ) -> None:
        deploy(user, live, "b" * 40, web="python app.py", release="python migrate.py")
        platform.worker.drain()
        OneOff.objects.update(sent_at=timezone.now() - timedelta(seconds=31))
        platform.agent.jobs.clear()
        platform.agent.tell()
        platform.settle()
        deployment = live.deployments.get(release__version=3)
        assert deployment.status == "failed"
        assert "was lost" in deployment.message


class TestRouter:
    def test_what_nobody_knows_is_left_alone(self, platform: Platform, live: App) -> None:
        said = tuple(
            BackendState(id=id_, active_sessions=0, drained=True, up=False)
            for id_ in ("no uuid", "00000000-0000-0000-0000-000000000000", "", "\0")
        )
        report = RouterReport(router="x", sequence=1, version=route_version(), backends=said)
        reports.take_router_report(platform.edge.router, report)
        assert only(live).drained is False

    def test_one_that_serves_is_not_drained_by_a_word(self, platform: Platform, live: App) -> None:
        said = BackendState(id=str(only(live).id), active_sessions=0, drained=True, up=False)
        report = RouterReport(router="x", sequence=1, version=route_version(), backends=(said,))
        reports.take_router_report(platform.edge.router, report)
        assert only(live).drained is False

    def test_one_ahead_of_the_database_is_numbered_past(self, platform: Platform, live: App) -> None:
        assert platform.edge.table is not None
        platform.edge.table = msgspec.structs.replace(platform.edge.table, version=900)
        platform.edge.tell()
        assert route_version() == 901
        platform.settle()
        assert platform.edge.table.version == 901

    def test_with_two_it_has_drained_when_both_say_so(
        self, platform: Platform, live: App, user: User, make_router: Callable[..., Edge]
    ) -> None:
        second = make_router("second")
        second.busy = True
        platform.worker.drain()
        second.tell()
        scale(user, live, [FormationUpdate("web", 2)])
        platform.settle()
        scale(user, live, [FormationUpdate("web", 1)])
        for _ in range(4):
            platform.worker.drain()
            platform.edge.tell()
            second.tell()
        (draining,) = Instance.objects.filter(wanted="drain")
        assert draining.drained_on == [str(platform.edge.router.id)]
        second.busy = False
        second.tell()
        platform.worker.drain()
        assert Instance.objects.filter(id=draining.id, wanted="drain").count() == 0

    def test_one_that_was_removed(self, platform: Platform, live: App) -> None:
        Router.objects.all().delete()
        reports.take_router_report(platform.edge.router, platform.edge.report())


def test_a_plan_that_was_made_in_vain_is_made_again(platform: Platform, live: App) -> None:
    """Repeating and overlapping hints changes nothing."""
    before = (rows(live), route_version(), Host.objects.get(id=platform.agent.host.id).generation)
    for _ in range(3):
        assert reconcile_app(live.id) == 0
    assert (rows(live), route_version(), Host.objects.get(id=platform.agent.host.id).generation) == before
    assert RouteVersion.objects.count() == 1


def test_statuses_are_taken_as_they_are(platform: Platform, live: App) -> None:
    since = time.time() - 100
    id_ = str(only(live).id)
    status = InstanceStatus(id=id_, state=InstanceState.UP, since=since, restarts=7, started_at=since - 5)
    report: HostReport = msgspec.structs.replace(platform.agent.report(), instances=(status,))
    reports.take_host_report(platform.agent.host, report)
    one = only(live)
    assert one.state_since.timestamp() == pytest.approx(since, abs=1e-5)
    assert one.restarts == 7
    assert dataclasses.asdict(find_dyno(live, "web.1"))["restarts"] == 7
