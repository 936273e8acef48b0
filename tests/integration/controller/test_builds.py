"""Builds as rows: taken up by one worker, ended once, whoever dies or leaves on the way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from paas.controller import redis_connection, streams
from paas.controller.models import App, Build, BuildLog, Deployment, Event, Instance, Release, Slug, User
from paas.controller.redis_connection import client as redis_client
from paas.controller.selectors.builds import build_output, find_build, outcome
from paas.controller.services import build_queue, builds
from paas.controller.services.apps import create_app, destroy_app
from paas.controller.services.config import set_config
from paas.errors import Conflict, InvalidParams, NotFound
from runtime.model import ImageRef
from tests.integration.controller.conftest import deploy
from tests.integration.controller.machines import Platform, Worker
from tests.integration.controller.threads import failures, together

pytestmark = pytest.mark.integration

RESULT = builds.read_result('{"process_types": {"web": "python app.py", "release": "python migrate.py"}}')
IMAGE = ImageRef(digest="sha256:" + "c" * 64, size=99)

Make = Callable[..., Build]


@pytest.fixture
def make_build(user: User, tmp_path: Path) -> Make:
    def make(app: App, origin: str = "git", **values: str) -> Build:
        source = tmp_path / "source.tar"
        source.write_bytes(b"a tar")
        return builds.create_build(user, app, source_file=source, origin=origin, **values)

    return make


def status(build: Build) -> str:
    return Build.objects.get(id=build.id).status


def lines(build: Build) -> list[str]:
    return [values["line"] for _, values in redis_client().xrange(streams.build_log(build.id))]


class TestCreate:
    def test_the_source_is_kept_and_a_worker_asked_for(
        self, app: App, make_build: Make, worker: Worker, tmp_path: Path
    ) -> None:
        build = make_build(app, commit="c" * 40, commit_message="Say hello")
        assert builds.source_path(build.id).read_bytes() == b"a tar"
        (tmp_path / "source.tar").unlink()
        assert builds.source_path(build.id).exists(), "the caller's file is the caller's to drop"
        assert ("builds.run_build", (str(build.id),)) in worker.waiting()
        assert Event.objects.filter(action="build.create", resource=str(build.id)).exists()
        assert find_build(app, str(build.id)) == build

    def test_a_commit_that_no_database_takes(self, app: App, make_build: Make) -> None:
        build = make_build(
            app, commit="c\0" + "d" * 100, commit_message="nul \0 and half \ud800" + "x" * 1000
        )
        build.refresh_from_db()
        assert len(build.commit) == 64
        assert build.commit_message.startswith("nul \N{REPLACEMENT CHARACTER} and half ?x")

    def test_one_at_a_time(self, app: App, make_build: Make) -> None:
        first = make_build(app, origin="api")
        for origin in ("api", "git"):
            with pytest.raises(Conflict, match="Another build of shop is running"):
                make_build(app, origin=origin)
        assert list(builds.source_path(first.id).parent.iterdir()) == [builds.source_path(first.id)]

    def test_at_once_one_wins(self, app: App, make_build: Make, user: User, tmp_path: Path) -> None:
        files = [tmp_path / f"{number}.tar" for number in range(4)]
        for file in files:
            file.touch()
        results = together(
            *[lambda file=file: builds.create_build(user, app, source_file=file) for file in files]
        )
        assert [type(one) for one in failures(results)] == [Conflict] * 3
        assert app.builds.count() == 1

    def test_a_push_ends_the_build_of_a_push_that_is_gone(
        self, app: App, make_build: Make, worker: Worker
    ) -> None:
        first = make_build(app)
        second = make_build(app)
        first.refresh_from_db()
        assert (first.status, first.error_id) == ("cancelled", "push_gone")
        assert status(second) == "pending"
        assert ("builds.stop_job", (str(first.id), "")) in worker.waiting()

    def test_of_an_app_that_is_gone(self, app: App, user: User, make_build: Make) -> None:
        stale = App.objects.get(id=app.id)
        destroy_app(user, app)
        with pytest.raises(NotFound):
            make_build(stale)

    @pytest.mark.parametrize("identity", ["", "no", "a\0b", "00000000-0000-0000-0000-000000000000"])
    def test_an_unknown_one_is_not_found(self, app: App, identity: str) -> None:
        with pytest.raises(NotFound):
            find_build(app, identity)


class TestClaim:
    def test_of_many_workers_one_gets_it(self, app: App, make_build: Make) -> None:
        build = make_build(app)
        results = together(*[lambda n=n: build_queue.claim(build.id, f"worker {n}") for n in range(6)])
        winners = [one for one in results if one is not None]
        assert failures(results) == []
        assert len(winners) == 1
        assert (winners[0].attempts, winners[0].status) == (1, "building")

    def test_no_more_than_there_are_places(self, user: User, stack: object, make_build: Make) -> None:
        waiting = [make_build(create_app(user, f"app-{number}")) for number in range(5)]
        results = together(*[lambda one=one: build_queue.claim(one.id, str(one.id)) for one in waiting])
        assert failures(results) == []
        assert sum(one is not None for one in results) == 2
        assert Build.objects.filter(status="building").count() == 2
        assert build_queue.waiting_builds() == []
        builds.fail(next(one for one in results if one is not None), "build_failed", "no")
        assert len(build_queue.waiting_builds()) == 1

    def test_the_oldest_waits_at_the_front(self, user: User, stack: object, make_build: Make) -> None:
        made = [make_build(create_app(user, f"app-{number}")) for number in range(3)]
        assert build_queue.waiting_builds() == [str(made[0].id), str(made[1].id)]

    def test_nobody_overtakes(self, user: User, stack: object, make_build: Make) -> None:
        made = [make_build(create_app(user, f"app-{number}")) for number in range(3)]
        assert build_queue.claim(made[2].id, "a worker") is None, "two have waited longer, for two places"
        assert build_queue.claim(made[1].id, "a worker") is not None
        assert build_queue.claim(made[0].id, "a worker") is not None

    def test_whoever_waits_is_told_its_place(self, user: User, stack: object, make_build: Make) -> None:
        made = [make_build(create_app(user, f"app-{number}")) for number in range(4)]
        running = [build_queue.claim(one.id, "a worker") for one in made]
        for _ in range(3):  # as often as a message is repeated
            build_queue.tell_waiting()
        waits = "-----> Waiting for a free build slot"
        assert lines(made[0]) == []
        assert lines(made[2]) == [f"{waits} (next in line)"]
        assert lines(made[3]) == [f"{waits} (1 before this one)"]
        builds.fail(running[0], "build_failed", "no")
        assert build_queue.claim(made[2].id, "a worker")
        build_queue.tell_waiting()
        assert lines(made[3])[-1] == f"{waits} (next in line)"

    def test_one_whose_worker_died_is_taken_over(self, app: App, make_build: Make) -> None:
        build = make_build(app)
        assert build_queue.claim(build.id, "first")
        assert build_queue.claim(build.id, "second") is None
        assert builds.beat(build.id, "first")
        silent = timezone.now() - build_queue.HEARTBEAT_LOST - timedelta(seconds=1)
        Build.objects.filter(id=build.id).update(heartbeat_at=silent)
        assert build_queue.waiting_builds() == [str(build.id)]
        taken = build_queue.claim(build.id, "second")
        assert taken is not None
        assert taken.attempts == 2
        assert not builds.beat(build.id, "first"), "the first one is told that it is not its any more"
        assert builds.beat(build.id, "second")

    def test_one_that_is_over_is_not_taken_up(self, app: App, make_build: Make) -> None:
        build = make_build(app)
        builds.cancel_build(None, build)
        assert build_queue.claim(build.id, "late") is None
        assert not builds.beat(build.id, "late")


class TestCancel:
    def test_one_that_waits(self, app: App, user: User, make_build: Make) -> None:
        build = make_build(app)
        cancelled = builds.cancel_build(user, build)
        assert status(build) == "cancelled"
        assert cancelled.id == build.id
        assert not builds.source_path(build.id).exists()
        assert list(build_output(build)) == [" !     The build was cancelled"]
        assert outcome(build.id).ok is False
        builds.cancel_build(user, build)
        assert Event.objects.filter(action="build.cancel").count() == 1

    def test_one_that_runs(self, app: App, user: User, make_build: Make, worker: Worker) -> None:
        build = build_queue.claim(make_build(app).id, "worker")
        builds.cancel_build(user, build)
        assert not builds.beat(build.id, "worker")
        builds.succeed(build, IMAGE, RESULT, {})
        assert status(build) == "cancelled"
        assert not Slug.objects.exists()
        assert app.releases.count() == 1
        assert ("builds.stop_job", (str(build.id), "")) in worker.waiting()

    @pytest.mark.parametrize("phase", ["release", "start"])
    def test_before_the_cut_over_its_deployment_ends(
        self, platform: Platform, live: App, user: User, make_build: Make, phase: str
    ) -> None:
        platform.agent.obeys = lambda spec: (
            "starting" if "c" * 64 in spec.container.rootfs.layers[0].digest else "up"  # type: ignore[return-value]
        )
        build = self.released(live, make_build)
        if phase == "start":
            platform.worker.drain()
            (job,) = platform.agent.jobs
            platform.agent.end(job, "succeeded")  # type: ignore[arg-type]
            platform.agent.tell()
            platform.worker.drain()
        assert Deployment.objects.get(release=build.release).phase == phase
        builds.cancel_build(user, build)
        deployment = Deployment.objects.get(release=build.release)
        assert (deployment.status, deployment.message) == ("cancelled", "the push was cancelled")
        assert Release.objects.get(id=build.release_id).status == "failed"
        assert outcome(build.id).ok is False
        platform.agent.obeys = lambda spec: "up"  # type: ignore[assignment,return-value]
        platform.settle()
        assert [one.release.version for one in Instance.objects.filter(app=live)] == [2]
        live.refresh_from_db()
        assert live.current_release.version == 2

    def test_after_the_cut_over_it_stays(
        self, platform: Platform, live: App, user: User, make_build: Make
    ) -> None:
        build = self.released(live, make_build, "web")
        platform.settle()
        builds.cancel_build(user, build)
        assert Deployment.objects.get(release=build.release).status == "succeeded"
        live.refresh_from_db()
        assert live.current_release_id == build.release_id

    def test_a_change_that_took_the_code_along_stays(
        self, platform: Platform, live: App, user: User, make_build: Make
    ) -> None:
        build = self.released(live, make_build, "web")
        set_config(user, live, {"A": "1"})
        build.refresh_from_db()
        builds.cancel_build(user, build)
        assert Deployment.objects.get(release__version=4).status == "active"

    @staticmethod
    def released(app: App, make_build: Make, *types: str) -> Build:
        build = build_queue.claim(make_build(app).id, "worker")
        assert build is not None
        chosen = {type_: RESULT.process_types[type_] for type_ in types or RESULT.process_types}
        builds.succeed(build, IMAGE, builds.Result(process_types=chosen), {})
        build.refresh_from_db()
        return build


class TestEnd:
    def test_slug_and_release_are_made_together(self, app: App, user: User, make_build: Make) -> None:
        build = build_queue.claim(make_build(app, commit="c" * 40, commit_message="Say hello").id, "worker")
        builds.succeed(build, IMAGE, RESULT, {"build": 1.5})
        build.refresh_from_db()
        assert build.status == "succeeded"
        assert (build.slug.digest, build.slug.commit_message) == (IMAGE.digest, "Say hello")
        assert build.release.description == "Deploy cccccccc"
        assert build.release.formation == {
            "web": {"command": "python app.py", "quantity": 1, "size": "standard-1x"}
        }
        assert set(build.timings) == {"queue", "build"}
        builds.succeed(build, IMAGE, RESULT, {})
        builds.fail(build, "late", "too late")
        assert app.releases.count() == 2
        assert status(build) == "succeeded"

    def test_a_crash_between_slug_and_release_leaves_neither(self, app: App, make_build: Make) -> None:
        build = build_queue.claim(make_build(app).id, "worker")
        Build.objects.filter(id=build.id).update(stack="gone")
        build.refresh_from_db()
        with pytest.raises(InvalidParams, match="gone"):
            builds.succeed(build, IMAGE, RESULT, {})
        assert status(build) == "building"
        assert not Slug.objects.exists()

    def test_a_failure_is_told_once(self, app: App, make_build: Make) -> None:
        build = make_build(app)
        builds.fail(build, "x" * 100, "nothing fits: \0")
        builds.fail(build, "second", "again")
        build.refresh_from_db()
        assert (build.status, build.message) == ("failed", "nothing fits: \N{REPLACEMENT CHARACTER}")
        assert list(build_output(build)) == [" !     Nothing fits: \N{REPLACEMENT CHARACTER}"]
        assert not builds.source_path(build.id).exists()

    def test_of_an_app_that_was_destroyed_nothing_comes_back(
        self, app: App, user: User, make_build: Make
    ) -> None:
        build = build_queue.claim(make_build(app).id, "worker")
        destroy_app(user, app)
        builds.succeed(build, IMAGE, RESULT, {})
        builds.fail(build, "late", "too late")
        assert not builds.beat(build.id, "worker")
        for model in (Slug, Release, Build, BuildLog):
            assert not model.objects.exists()
        assert outcome(build.id).reason == "the app was destroyed"

    def test_the_next_in_the_queue_begins(
        self, user: User, stack: object, make_build: Make, worker: Worker
    ) -> None:
        first, second, third = (make_build(create_app(user, f"app-{number}")) for number in range(3))
        for one in (first, second):
            build_queue.claim(one.id, "worker")
        worker.lose()
        builds.fail(first, "no", "no")
        assert worker.waiting() == [("builds.run_build", (str(third.id),))]


class TestPusher:
    def test_whether_somebody_waits(self, app: App, make_build: Make) -> None:
        build = make_build(app)
        assert builds.pusher_is_there(build) is False
        redis_client().set(streams.pusher(build.id), "1")
        assert builds.pusher_is_there(build) is True

    def test_nobody_waits_for_builds_of_the_api(self, app: App, make_build: Make) -> None:
        assert builds.pusher_is_there(make_build(app, origin="api")) is True

    def test_without_redis_nobody_can_tell(self, app: App, make_build: Make, settings: object) -> None:
        build = make_build(app)
        settings.REDIS_URL = f"unix://{settings.PAAS.home}/run/nobody.sock"  # type: ignore[attr-defined]
        redis_connection.forget_connections()
        assert builds.pusher_is_there(build) is None


class TestOvertaken:
    """A change of config while a deploy is on its way."""

    def test_the_push_waits_for_the_change_and_ends_well(
        self, platform: Platform, live: App, user: User, make_build: Make
    ) -> None:
        build = TestCancel.released(live, make_build, "web")
        set_config(user, live, {"A": "1"})
        assert outcome(build.id) is None
        overtaken = Deployment.objects.select_related("release").get(release__version=3)
        assert (overtaken.status, overtaken.release.status) == ("superseded", "expired")
        platform.settle()
        assert outcome(build.id).ok
        build.refresh_from_db()
        assert build.release.version == 4
        lines = list(build_output(build))
        assert any("v4 (Set A config vars) takes over from v3" in line for line in lines)
        assert any("Released v4" in line for line in lines)
        (spec,) = platform.agent.wanted.values()
        assert spec.container.rootfs.layers[0].digest == IMAGE.digest
        assert spec.container.env["A"] == "1"

    def test_another_deploy_ends_it_as_failed(
        self, platform: Platform, live: App, user: User, make_build: Make
    ) -> None:
        build = TestCancel.released(live, make_build, "web")
        deploy(user, live, "d" * 40)
        assert outcome(build.id) == type(outcome(build.id))(False, "superseded by v4")
        platform.settle()
        live.refresh_from_db()
        assert live.current_release.version == 4

    def test_the_release_command_is_not_left_out(
        self, platform: Platform, live: App, user: User, make_build: Make
    ) -> None:
        TestCancel.released(live, make_build)
        platform.worker.drain()
        (first,) = platform.agent.jobs
        set_config(user, live, {"A": "1"})
        platform.worker.drain()
        assert first in platform.agent.cancelled
        assert len(platform.agent.jobs) == 1, "the second command waits for the end of the first"
        platform.agent.tell()
        platform.worker.drain()
        (_, second) = platform.agent.jobs
        assert platform.agent.specs[second].container.env["A"] == "1"
        platform.agent.end(second, "succeeded")  # type: ignore[arg-type]
        platform.settle()
        live.refresh_from_db()
        assert live.current_release.version == 4
        set_config(user, live, {"B": "1"})
        platform.settle()
        assert len(platform.agent.jobs) == 2, "a change of config alone runs no command"
