"""Restarting and stopping by hand, and processes that run once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from paas.controller.models import App, Event, Host, Instance, OneOff, User
from paas.controller.selectors.dynos import dynos, find_dyno
from paas.controller.services import instances, one_offs
from paas.controller.services.apps import create_app, destroy_app
from paas.controller.services.formation import FormationUpdate, scale
from paas.controller.tasks import one_offs as tasks
from paas.errors import InvalidParams, NotFound, Unavailable
from runtime.model import ExitInfo, ExitReason, InstanceState, JobState
from tests.integration.controller.conftest import run
from tests.integration.controller.machines import Agent, Platform
from tests.integration.controller.threads import failures, together

pytestmark = pytest.mark.integration


def ids(app: App, type_: str = "web") -> set[str]:
    return {str(one.id) for one in Instance.objects.filter(app=app, process_type=type_, wanted="run")}


class TestRestart:
    def test_each_serves_until_its_replacement_does(self, platform: Platform, live: App, user: User) -> None:
        scale(user, live, [FormationUpdate("web", 3)])
        platform.settle()
        before = ids(live)
        assert instances.restart(user, live) == 3
        least = 3
        for _ in range(6):
            platform.worker.drain()
            platform.agent.obey()
            platform.agent.tell()
            platform.edge.tell()
            least = min(least, sum(not one.draining for one in platform.edge.route("shop").backends))
        platform.settle()
        assert least == 3
        assert len(ids(live)) == 3
        assert not ids(live) & before
        assert sorted(one.name for one in Instance.objects.filter(app=live)) == ["web.1", "web.2", "web.3"]
        assert live.releases.count() == 3, "a restart is no release"

    def test_one_of_them(self, platform: Platform, live: App, user: User) -> None:
        scale(user, live, [FormationUpdate("web", 2), FormationUpdate("worker", 1)])
        platform.settle()
        kept = str(Instance.objects.get(app=live, process_type="web", number=2).id)
        workers = ids(live, "worker")
        assert instances.restart(user, live, name="web.1") == 1
        platform.settle()
        assert kept in ids(live)
        assert ids(live, "worker") == workers
        assert instances.restart(user, live, process_type="worker") == 1
        platform.settle()
        assert ids(live, "worker").isdisjoint(workers)

    def test_what_is_not_there(self, live: App, user: User) -> None:
        for name in ("web.9", "web", "nope.1", "", "web.²", "web.-1", ".1", "a\0.1", "web.1.1"):
            with pytest.raises(NotFound):
                instances.stop_instance(user, live, name)
            with pytest.raises(NotFound):
                find_dyno(live, name)
            if name:
                with pytest.raises(NotFound, match="Couldn't find"):
                    instances.restart(user, live, name=name)
        assert not Event.objects.filter(action__in=["dyno.restart", "dyno.stop"]).exists()

    def test_one_that_never_comes_up_leaves_the_old_one(
        self, platform: Platform, live: App, user: User
    ) -> None:
        (before,) = ids(live)
        platform.agent.obeys = lambda spec: (
            InstanceState.UP if spec.container.id == before else InstanceState.CRASHED
        )
        instances.restart(user, live)
        platform.settle()
        assert [one.id for one in platform.edge.route("shop").backends] == [before]

    def test_many_at_once(self, platform: Platform, live: App, user: User) -> None:
        results = together(*[lambda: instances.restart(user, live)] * 3)
        assert failures(results) == []
        platform.settle()
        assert len(ids(live)) == 1

    def test_stopping_one_brings_a_fresh_one(self, platform: Platform, live: App, user: User) -> None:
        scale(user, live, [FormationUpdate("worker", 1)])
        platform.settle()
        for name in ("web.1", "worker.1", str(Instance.objects.get(app=live, process_type="web").id)):
            type_ = name.split(".")[0] if "." in name else "web"
            before = ids(live, type_)
            instances.stop_instance(user, live, name if "." in name else next(iter(before)))
            platform.settle()
            assert len(ids(live, type_)) == 1
            assert ids(live, type_).isdisjoint(before)


class TestOneOffs:
    def test_it_runs_in_the_image_and_config_of_the_current_release(
        self, platform: Platform, live: App, user: User
    ) -> None:
        job = run(user, live, "echo $A", size="Standard-2X", env={"A": "two\nlines"})
        platform.worker.drain()
        spec = platform.agent.specs[str(job.id)]
        assert spec.container.argv[-1] == "echo $A"
        assert spec.container.env["A"] == "two\nlines"
        assert spec.container.env["DYNO"] == job.name
        assert spec.container.limits.memory_bytes == 1024**3
        assert spec.container.rootfs.layers[0].digest == live.current_release.slug.digest
        assert find_dyno(live, job.name).state == "starting"
        platform.agent.tell()
        assert find_dyno(live, job.name).state == "up"
        assert {one.name for one in dynos(live)} == {"web.1", job.name}
        platform.agent.end(str(job.id), JobState.SUCCEEDED, ExitInfo(reason=ExitReason.EXITED, code=0))
        platform.agent.tell()
        assert find_dyno(live, job.name).state == "complete"
        assert {one.name for one in dynos(live)} == {"web.1"}

    def test_what_cannot_be_run(self, live: App, user: User) -> None:
        for command in ("", "  \n", "a\0b", "x" * 33_000):
            with pytest.raises(InvalidParams):
                run(user, live, command)
        ways: list[dict[str, object]] = [
            {"size": "huge"}, {"env": {"A-B": "x"}}, {"env": {"A": "x\0"}}, {"env": {"": "x"}},
            {"process_type": "a b"}, {"process_type": ""}, {"process_type": "x" * 65},
        ]  # fmt: skip
        for options in ways:
            with pytest.raises(InvalidParams):
                run(user, live, "true", **options)
        assert not OneOff.objects.exists()

    def test_without_code_there_is_nothing_to_run_it_in(self, app: App, user: User) -> None:
        with pytest.raises(InvalidParams, match="push some first"):
            run(user, app, "true")

    def test_without_a_host_nothing_is_made(self, live: App, user: User) -> None:
        Host.objects.update(seen_at=timezone.now() - timedelta(seconds=16))
        with pytest.raises(Unavailable, match="No host is ready"):
            run(user, live, "true")
        assert not OneOff.objects.exists()

    def test_names_are_not_shared(self, live: App, user: User) -> None:
        results = together(*[lambda: run(user, live, "true")] * 6)
        assert failures(results) == []
        assert len({one.name for one in results}) == 6

    def test_its_host_refuses_it(self, platform: Platform, live: App, user: User) -> None:
        platform.agent.refuses = "the disk is full"
        job = run(user, live, "true")
        platform.worker.drain()
        assert find_dyno(live, job.name).exit_message == "could not be started: the disk is full"

    def test_a_host_that_is_away_gets_it_later(self, live: App, user: User, platform: Platform) -> None:
        url = platform.agent.host.url
        Host.objects.update(url="http://127.0.0.1:1")
        job = run(user, live, "true")
        platform.worker.drain()
        assert OneOff.objects.get(id=job.id).sent_at is None
        Host.objects.update(url=url)
        tasks.send_one_off(str(job.id))
        tasks.send_one_off(str(job.id))
        assert list(platform.agent.jobs) == [str(job.id)]


class TestStopping:
    def test_one_that_runs(self, platform: Platform, live: App, user: User) -> None:
        job = run(user, live, "sleep 99")
        platform.worker.drain()
        one_offs.stop_one_off(user, job)
        assert find_dyno(live, job.name).state == "stopping"
        platform.settle()
        assert platform.agent.cancelled == [str(job.id)]
        assert find_dyno(live, job.name).exit_message == "was cancelled"

    def test_one_that_was_never_sent(self, platform: Platform, live: App, user: User) -> None:
        job = run(user, live, "sleep 99")
        platform.worker.lose()
        one_offs.stop_one_off(user, job)
        platform.worker.drain()
        job.refresh_from_db()
        assert (job.state, job.exit["reason"]) == ("failed", "cancelled")
        tasks.send_one_off(str(job.id))
        assert platform.agent.jobs == {}

    def test_one_that_is_stopped_while_it_is_sent(self, platform: Platform, live: App, user: User) -> None:
        """The order to stop arrives at the host before the order to start."""
        job = run(user, live, "sleep 99")
        platform.worker.lose()

        def meanwhile(id_: str) -> object:
            OneOff.objects.filter(id=id_).update(stop_requested=True)
            return platform.agent.jobs[id_]

        platform.agent.job_ends = meanwhile  # type: ignore[assignment]
        tasks.send_one_off(str(job.id))
        assert platform.agent.cancelled == [str(job.id)]

    def test_one_whose_app_goes_while_it_is_sent(self, platform: Platform, live: App, user: User) -> None:
        job = run(user, live, "sleep 99")
        platform.worker.lose()

        def meanwhile(id_: str) -> object:
            destroy_app(user, live)
            return platform.agent.jobs[id_]

        platform.agent.job_ends = meanwhile  # type: ignore[assignment]
        tasks.send_one_off(str(job.id))
        assert str(job.id) in platform.agent.cancelled

    def test_one_that_is_over_stays_as_it_ended(self, platform: Platform, live: App, user: User) -> None:
        job = run(user, live, "true")
        platform.worker.drain()
        platform.agent.end(str(job.id), JobState.SUCCEEDED)
        platform.agent.tell()
        assert one_offs.stop_one_off(user, job).stop_requested is False
        assert platform.worker.waiting() == []
        assert not Event.objects.filter(action="one_off.stop").exists()

    def test_of_an_app_that_is_gone(self, live: App, user: User) -> None:
        job = run(user, live, "true")
        destroy_app(user, live)
        with pytest.raises(NotFound):
            one_offs.stop_one_off(user, job)
        tasks.send_one_off(str(job.id))
        tasks.stop_one_off(str(job.id))


def test_dynos_of_other_apps_are_not_found(live: App, user: User, make_host: Callable[..., Agent]) -> None:
    other = create_app(user, "other")
    job = run(user, live, "true")
    for name in ("web.1", job.name, str(job.id), str(Instance.objects.get(app=live).id)):
        find_dyno(live, name)
        with pytest.raises(NotFound):
            find_dyno(other, name)
