"""A worker and a host building: lines to the pusher, and an end whatever breaks on the way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from paas.controller import streams
from paas.controller.models import App, Build, BuildLog, Host, User
from paas.controller.redis_connection import client as redis_client
from paas.controller.selectors.builds import build_output, outcome
from paas.controller.services import build_queue, builds
from paas.controller.services.apps import destroy_app
from paas.controller.services.build_output import write_at
from paas.controller.services.config import set_config
from paas.controller.tasks import beating
from paas.controller.tasks import builds as tasks
from runtime.model import ExitInfo, ExitReason, ImageRef, JobState, JobStatus, LimitKind
from tests.integration.controller.machines import Agent, Platform

pytestmark = pytest.mark.integration

RESULT = json.dumps({"process_types": {"web": "python app.py"}, "config_defaults": {"A": "built"}})
SLUG = ImageRef(digest="sha256:" + "c" * 64, size=2 * 1024**2)


@pytest.fixture(autouse=True)
def builder() -> Iterator[None]:
    file = django_settings.PAAS.home / "builder.json"
    file.write_text(json.dumps({"digest": "sha256:" + "b" * 64, "size": 5}))
    yield
    file.unlink()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"AGENT_PATIENCE": 0.5, "PUSHER_PATIENCE": 0.2}.items():
        monkeypatch.setattr(tasks, name, seconds)
    monkeypatch.setattr(beating, "BEAT", 0.05)


@pytest.fixture
def build(app: App, user: User, tmp_path: object) -> Build:
    source = tmp_path / "source.tar"  # type: ignore[operator]
    source.write_bytes(b"tar")
    made = builds.create_build(user, app, source_file=source, commit="c" * 40, origin="git")
    redis_client().set(streams.pusher(made.id), "1")
    return made


def ends(state: JobState = JobState.SUCCEEDED, **values: object) -> Callable[[str], JobStatus]:
    return lambda id_: JobStatus(id=id_, state=state, since=time.time(), **values)  # type: ignore[arg-type]


def message(build: Build) -> str:
    build.refresh_from_db()
    return f"{build.status} {build.error_id}: {build.message}"


def test_from_a_source_to_a_served_release(platform: Platform, app: App, build: Build) -> None:
    platform.agent.output[str(build.id)] = ["-----> Python", "       Installing\0"]
    platform.agent.job_ends = ends(result=RESULT, slug=SLUG, timings={"package": 0.2, "upload": 0.1})
    tasks.run_build(str(build.id))
    assert message(build) == "succeeded : "
    assert outcome(build.id) is None, "the push goes on until the release serves"
    platform.settle()
    assert outcome(build.id).ok
    lines = list(build_output(build))
    assert lines[:3] == [
        "-----> Python",
        "       Installing\N{REPLACEMENT CHARACTER}",
        "-----> Packaged: 2.0 MB, sha256:" + "c" * 12,
    ]
    assert any(line.startswith("       Released v2 after ") for line in lines)
    assert lines[-1] == "       http://shop.localhost:8080/ deployed to paas"
    assert platform.agent.cancelled == [str(build.id)], "an ended job is forgotten"
    assert not builds.source_path(build.id).exists()
    (spec,) = platform.agent.wanted.values()
    assert spec.container.env["A"] == "built"


def test_what_the_host_is_told(platform: Platform, app: App, user: User, build: Build) -> None:
    set_config(user, app, {"SECRET": "s3cr3t", "PATH": "/evil"})
    platform.agent.job_ends = ends(result=RESULT, slug=SLUG)
    tasks.run_build(str(build.id))
    spec = platform.agent.specs[str(build.id)]
    assert spec.container.env["SECRET"] == "s3cr3t"
    assert spec.container.env["PATH"].startswith("/opt/paas/bin")
    assert "s3cr3t" not in " ".join(spec.container.argv)
    assert spec.inputs[0].path == f"/internal/sources/{build.id}"
    assert spec.cache == f"{app.id}-debian-13"
    build.refresh_from_db()
    assert build.materials["builder"] == "sha256:" + "b" * 64
    assert [build.materials["builder"], *build.materials["layers"]] == [
        layer.digest for layer in spec.container.rootfs.layers
    ]


def test_secrets_are_not_shown(platform: Platform, app: App, user: User, build: Build) -> None:
    set_config(user, app, {"API_KEY": "hunter2hunter2", "MODE": "production"})
    platform.agent.output[str(build.id)] = ["key hunter2hunter2 in production"]
    platform.agent.job_ends = ends(
        JobState.FAILED, result='{"error": {"id": "npm", "message": "hunter2hunter2 was refused"}}'
    )
    tasks.run_build(str(build.id))
    assert message(build) == "failed npm: [MASKED] was refused"
    kept = BuildLog.objects.get(build=build).text
    assert "key [MASKED] in production" in kept
    assert "hunter2" not in kept + "".join(build_output(build))


BAD_ENDS = {
    "failed no_buildpack: Nothing fits.": ends(
        JobState.FAILED, result='{"error": {"id": "no_buildpack", "message": "Nothing fits."}}'
    ),
    "failed build_memory: the build needed more than its 2048 MB of memory": ends(
        JobState.FAILED, exit=ExitInfo(reason=ExitReason.OOM)
    ),
    "failed build_timeout: the build took longer than 1800 seconds": ends(
        JobState.FAILED, exit=ExitInfo(reason=ExitReason.TIMEOUT)
    ),
    "failed build_memory: npm run build failed (137). The build needed more than its 2048 MB of memory": ends(
        JobState.FAILED,
        exit=ExitInfo(reason=ExitReason.OOM),
        result='{"error": {"id": "npm", "message": "npm run build failed (137)."}}',
    ),
    "failed build_processes: bin/post_compile failed. The build hit its limit of 1024 processes": ends(
        JobState.FAILED,
        limits_met=(LimitKind.PROCESSES,),
        result='{"error": {"id": "build_script_failed", "message": "bin/post_compile failed."}}',
    ),
    "failed build_disk_full: bin/build failed. /tmp of the build is full (512 MB)": ends(
        JobState.FAILED,
        limits_met=(LimitKind.TEMPORARY,),
        result='{"error": {"id": "cnb_build_failed", "message": "bin/build failed."}}',
    ),
    "failed requirements_unresolvable: No such version. The build hit its limit of 1024 processes": ends(
        JobState.FAILED,
        limits_met=(LimitKind.PROCESSES,),
        result='{"error": {"id": "requirements_unresolvable", "message": "No such version."}}',
    ),
    "failed build_memory: the build needed more than its 2048 MB": ends(
        JobState.FAILED, limits_met=(LimitKind.PROCESSES, LimitKind.MEMORY)
    ),
    "failed build_disk_full: /tmp of the build is full (512 MB)": ends(
        JobState.FAILED, limits_met=(LimitKind.TEMPORARY,)
    ),
    "failed build_failed: the build exited with status 2": ends(
        JobState.FAILED, exit=ExitInfo(reason=ExitReason.EXITED, code=2), result="{"
    ),
    "failed build_failed: the disk is full": ends(JobState.FAILED, message="the disk is full"),
    "failed build_failed: the build could not be started: no network.": ends(
        JobState.FAILED,
        exit=ExitInfo(reason=ExitReason.NOT_STARTED, code=125, message="no network."),
        message="no network.",
    ),
    "failed build_failed: the build ended without a result": ends(JobState.FAILED),
    "failed build_failed: the build ended without a": ends(result=RESULT),  # but without a slug
    "failed invalid_params: The build ended without saying what it built": ends(slug=SLUG),
    "failed invalid_params: The build ended without saying what": ends(
        slug=SLUG, result='{"process_types": {"web": 5}}'
    ),
}


@pytest.mark.parametrize("said", BAD_ENDS)
def test_builds_that_end_badly(platform: Platform, app: App, build: Build, said: str) -> None:
    platform.agent.job_ends = BAD_ENDS[said]
    tasks.run_build(str(build.id))
    assert message(build).startswith(said)
    assert message(build).count("no network") < 2  # the reason is told once
    assert app.releases.count() == 1
    assert outcome(build.id).ok is False
    assert outcome(build.id).reason.startswith(said.split(": ")[1])


def test_a_limit_that_the_builder_cannot_see_is_told(platform: Platform, build: Build) -> None:
    platform.agent.output[str(build.id)] = [" !     npm run build failed (137)."]
    platform.agent.job_ends = BAD_ENDS[
        "failed build_memory: npm run build failed (137). The build needed more than its 2048 MB of memory"
    ]
    tasks.run_build(str(build.id))
    shown = [line for line in build_output(build) if line.strip(" !")]
    assert shown[0] == " !     npm run build failed (137)."
    assert shown[1].startswith(" !     The build needed more than its 2048 MB of memory")
    assert len(shown) == 2


def test_without_a_builder_it_is_said_what_to_do(platform: Platform, build: Build) -> None:
    (django_settings.PAAS.home / "builder.json").write_text("{}")
    (django_settings.PAAS.home / "builder.json").unlink()
    tasks.run_build(str(build.id))
    (django_settings.PAAS.home / "builder.json").touch()
    assert "run script/up" in message(build)


@pytest.mark.usefixtures("impatient")
class TestTrouble:
    def test_no_host_is_ready(self, stack: object, build: Build) -> None:
        tasks.run_build(str(build.id))
        assert "No host is ready to build" in message(build)

    def test_its_host_does_not_answer(self, make_host: Callable[..., Agent], build: Build) -> None:
        make_host(down=True)
        tasks.run_build(str(build.id))
        assert message(build).startswith("failed host_unavailable")

    def test_its_host_refuses(self, platform: Platform, build: Build) -> None:
        platform.agent.refuses = "no room for another volume"
        tasks.run_build(str(build.id))
        assert "no room for another volume" in message(build)

    def test_its_pusher_is_gone(self, platform: Platform, build: Build) -> None:
        redis_client().delete(streams.pusher(build.id))
        tasks.run_build(str(build.id))
        assert message(build).startswith("cancelled")
        assert str(build.id) in platform.agent.cancelled

    @pytest.mark.parametrize("end", ["cancel", "destroy"])
    def test_it_is_ended_in_the_middle(
        self, platform: Platform, app: App, user: User, build: Build, end: str
    ) -> None:
        running = in_background(lambda: tasks.run_build(str(build.id)))
        until(lambda: str(build.id) in platform.agent.jobs)
        if end == "cancel":
            builds.cancel_build(user, build)
        else:
            destroy_app(user, app)
        platform.worker.drain(without=("builds.run_build",))
        running.join(15)
        assert not running.is_alive()
        assert str(build.id) in platform.agent.cancelled
        if end == "cancel":
            assert message(build) == "cancelled cancelled: the build was cancelled"

    def test_another_worker_goes_on_where_one_died(self, platform: Platform, build: Build) -> None:
        platform.agent.output[str(build.id)] = [f"line {number}" for number in range(6)]
        build_queue.claim(build.id, "one that died")
        for cursor in (1, 2, 3):
            write_at(build.id, cursor, f"line {cursor - 1}")
        silent = timezone.now() - build_queue.HEARTBEAT_LOST - timedelta(seconds=1)
        Build.objects.filter(id=build.id).update(heartbeat_at=silent)
        platform.agent.job_ends = ends(result=RESULT, slug=SLUG)
        tasks.run_build(str(build.id))
        assert message(build) == "succeeded : "
        lines = list(redis_client().xrange(streams.build_log(build.id)))
        texts = [values["line"] for _, values in lines if "cursor" in values]
        assert texts == [f"line {number}" for number in range(6)]

    def test_one_over_which_workers_die_is_given_up(self, platform: Platform, build: Build) -> None:
        Build.objects.filter(id=build.id).update(attempts=builds.ATTEMPTS_MAX)
        tasks.run_build(str(build.id))
        assert message(build).startswith("failed internal_error: 5 workers ended")
        assert platform.agent.jobs == {}

    def test_a_repeated_message_does_nothing(self, platform: Platform, build: Build) -> None:
        platform.agent.job_ends = ends(result=RESULT, slug=SLUG)
        for _ in range(3):
            tasks.run_build(str(build.id))
        build.refresh_from_db()
        assert build.attempts == 1
        assert build.app.releases.count() == 2

    def test_a_worker_that_takes_over_stays_on_the_host(
        self, make_host: Callable[..., Agent], build: Build
    ) -> None:
        chosen = make_host("one").host
        assert build_queue.assign_host(build) == chosen
        larger = make_host("two").host
        Host.objects.filter(id=larger.id).update(memory_bytes=2**40)
        assert build_queue.assign_host(Build.objects.get(id=build.id)) == chosen


class TestStopping:
    def test_a_job_whose_row_is_gone(self, platform: Platform) -> None:
        tasks.stop_job("4711", str(platform.agent.host.id))
        tasks.stop_job("4711", "")
        tasks.stop_job("4711", "00000000-0000-0000-0000-000000000000")
        assert platform.agent.cancelled == ["4711"]

    def test_on_a_host_that_is_away(self, make_host: Callable[..., Agent]) -> None:
        tasks.stop_job("4711", str(make_host(down=True).host.id))


def in_background(call: Callable[[], None]) -> threading.Thread:
    def run() -> None:
        try:
            call()
        finally:
            connection.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happens"
        time.sleep(0.01)


def test_package_proxies_of_the_operator_reach_builds_unless_the_app_has_its_own(
    app: App, user: User, build: Build, settings: Any
) -> None:
    settings.PAAS = replace(
        settings.PAAS,
        pip_index_url="https://me:mellon-mellon@pypi.example/simple",
        npm_registry="https://npm.example/",
    )
    env = tasks.job_spec(build).container.env
    assert env["PIP_INDEX_URL"] == "https://me:mellon-mellon@pypi.example/simple"
    assert env["NPM_CONFIG_REGISTRY"] == "https://npm.example/"
    set_config(user, app, {"npm_config_registry": "https://own.example/"})
    env = tasks.job_spec(build).container.env
    assert env["npm_config_registry"] == "https://own.example/"
    assert "NPM_CONFIG_REGISTRY" not in env
    assert "PIP_INDEX_URL" in env
