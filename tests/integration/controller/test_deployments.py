"""Deployments: what serves goes on serving until what replaces it is up, whatever comes in between."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from paas.controller.models import App, Deployment, Event, Instance, Release, Router, User
from paas.controller.selectors.dynos import dynos
from paas.controller.services.config import set_config
from paas.controller.services.formation import FormationUpdate, scale
from paas.controller.services.planning import reconcile_app
from paas.controller.services.releases import rollback
from paas.controller.tasks.ticks import tick
from paas.scheduler.model import Phase
from runtime.container.port import EngineError
from runtime.model import ExitInfo, ExitReason, InstanceState, JobState
from runtime.network.cni import conf
from runtime.network.cni.chain import Attachment, add
from tests.integration.controller.conftest import deploy
from tests.integration.controller.machines import Platform

pytestmark = pytest.mark.integration

UP = InstanceState.UP
RELEASE_TYPES = {"web": "python app.py", "release": "python migrate.py"}


def of_version(app: App, version: int) -> Deployment:
    return Deployment.objects.get(app=app, release__version=version)


def serving(platform: Platform) -> list[int]:
    """Return the versions that take new requests."""
    ids = [one.id for one in platform.edge.route("shop").backends if not one.draining]
    return sorted(one.release.version for one in Instance.objects.filter(id__in=ids))


def new_ones(state: InstanceState) -> object:
    """Hosts on which everything but the first release becomes `state`."""
    return lambda spec: state if spec.container.env["PAAS_RELEASE_VERSION"] != "v2" else InstanceState.UP


def step(platform: Platform) -> None:
    """Everybody does one thing."""
    platform.worker.drain()
    platform.agent.obey()
    platform.agent.tell()


def reach(platform: Platform, app: App, user: User, phase: Phase) -> Deployment:
    """Bring a second deploy (v3) as far as `phase`, and no further."""
    if phase is Phase.RELEASE:
        deploy(user, app, "b" * 40, **RELEASE_TYPES)
        platform.worker.drain()
        return at(app, phase)
    if phase is Phase.START:
        platform.agent.obeys = new_ones(InstanceState.STARTING)  # type: ignore[assignment]
    platform.edge.applies = phase is not Phase.CUTOVER
    platform.edge.busy = phase is Phase.DRAIN
    deploy(user, app, "b" * 40)
    for _ in range(4):
        step(platform)
    return at(app, phase)


def at(app: App, phase: Phase) -> Deployment:
    deployment = of_version(app, 3)
    assert (deployment.status, deployment.phase) == ("active", phase)
    return deployment


def refusal(folder: Path, answer: dict[str, object]) -> str:
    """Run a CNI plugin that answers ADD with an error; what the agent makes of it."""
    plugin = folder / "gate"
    plugin.write_text(f"#!/bin/sh\n[ $CNI_COMMAND = DEL ] || {{ echo '{json.dumps(answer)}'; exit 1; }}\n")
    plugin.chmod(0o755)
    chain = conf.parse({"cniVersion": "1.0.0", "name": "apps", "plugins": [{"type": "gate"}]})
    with pytest.raises(EngineError) as caught:
        add(Attachment(number=1, container="c", netns="/proc/self/ns/net", chain=chain, plugins=str(folder)))
    return str(caught.value)


def release_machines(platform: Platform) -> None:
    platform.agent.obeys = lambda spec: InstanceState.UP
    platform.edge.applies, platform.edge.busy = True, False
    for job, status in platform.agent.jobs.items():
        if status.state is JobState.RUNNING:
            platform.agent.end(job, JobState.SUCCEEDED)
    platform.settle()


def test_the_first_deploy(platform: Platform, live: App) -> None:
    deployment = of_version(live, 2)
    assert (deployment.status, deployment.phase) == ("succeeded", "done")
    assert deployment.live_at is not None
    assert deployment.finished_at >= deployment.live_at
    assert set(deployment.timings) >= {"release", "cutover", "drain"}
    assert live.releases.get(version=2).status == "succeeded"
    assert live.released_at is not None


def test_the_old_release_serves_until_the_new_one_does(platform: Platform, live: App, user: User) -> None:
    deploy(user, live, "b" * 40)
    seen = []
    for _ in range(8):
        step(platform)
        seen.append(tuple(serving(platform)))
        platform.edge.tell()
    platform.settle()
    assert () not in seen
    assert list(dict.fromkeys(seen)) == [(2,), (3,)], "never none, never both after the cut-over"
    assert [one.release.version for one in Instance.objects.filter(app=live)] == [3]


def test_all_process_types_switch_at_once(platform: Platform, live: App, user: User) -> None:
    scale(user, live, [FormationUpdate("worker", 1)])
    platform.settle()
    slow = InstanceState.STARTING
    platform.agent.obeys = lambda spec: (
        slow
        if spec.container.env["DYNO"] + spec.container.env["PAAS_RELEASE_VERSION"] == "worker.1v4"
        else UP
    )
    deploy(user, live, "b" * 40)
    for _ in range(4):
        step(platform)
    assert serving(platform) == [2], "web is up, but its worker is not"
    slow = UP
    platform.settle()
    assert serving(platform) == [4]


@pytest.mark.parametrize("phase", [Phase.RELEASE, Phase.START])
def test_before_the_cut_over_a_newer_release_takes_its_place(
    platform: Platform, live: App, user: User, phase: Phase
) -> None:
    first = reach(platform, live, user, phase)
    deploy(user, live, "c" * 40)
    first.refresh_from_db()
    assert (first.status, first.message) == ("superseded", "superseded by v4")
    assert live.releases.get(version=3).status == "expired"
    assert serving(platform) == [2]
    release_machines(platform)
    assert serving(platform) == [4]
    assert {one.release.version for one in Instance.objects.filter(app=live)} == {4}
    assert set(platform.agent.instances) == {str(one.id) for one in Instance.objects.filter(app=live)}


@pytest.mark.parametrize("phase", [Phase.CUTOVER, Phase.DRAIN])
def test_after_the_cut_over_it_has_succeeded_and_the_newer_one_follows(
    platform: Platform, live: App, user: User, phase: Phase
) -> None:
    first = reach(platform, live, user, phase)
    deploy(user, live, "c" * 40)
    first.refresh_from_db()
    assert first.status == "succeeded"
    assert live.releases.get(version=3).status == "succeeded"
    release_machines(platform)
    assert serving(platform) == [4]
    assert {one.release.version for one in Instance.objects.filter(app=live)} == {4}


@pytest.mark.parametrize("phase", [Phase.RELEASE, Phase.START, Phase.CUTOVER, Phase.DRAIN])
def test_a_change_of_config_at_every_phase_ends_with_both(
    platform: Platform, live: App, user: User, phase: Phase
) -> None:
    reach(platform, live, user, phase)
    set_config(user, live, {"A": "1"})
    scale(user, live, [FormationUpdate("web", "+1")])
    release_machines(platform)
    if phase is Phase.RELEASE:
        release_machines(platform)
    live.refresh_from_db()
    assert live.current_release.version == 5
    specs = list(platform.agent.wanted.values())
    assert [spec.container.env["A"] for spec in specs] == ["1", "1"]
    assert {spec.container.rootfs.layers[0].digest[7] for spec in specs} == {"b"}
    assert Deployment.objects.filter(app=live, status="active").count() == 0


class TestFailure:
    def test_a_crash_leaves_the_old_release(self, platform: Platform, live: App, user: User) -> None:
        before = Instance.objects.get(app=live).id
        platform.agent.obeys = new_ones(InstanceState.CRASHED)  # type: ignore[assignment]
        deploy(user, live, "b" * 40)
        platform.settle()
        failed = of_version(live, 3)
        assert (failed.status, failed.error_id) == ("failed", "app_crashed")
        assert failed.message == "web.1: exited with status 1"
        assert live.releases.get(version=3).message == failed.message
        assert serving(platform) == [2]
        assert Instance.objects.get(app=live).id == before
        assert list(platform.agent.instances) == [str(before)]
        live.refresh_from_db()
        assert live.current_release.version == 2
        assert Event.objects.get(action="deployment.fail").data == {"error": "app_crashed"}

    def test_a_network_plugin_that_refuses_is_heard_everywhere(
        self, platform: Platform, live: App, user: User, tmp_path: Path
    ) -> None:
        """From a plugin's standard output to those who look: the release, the API behind `paas ps`, the app's page."""
        said = refusal(tmp_path, {"code": 11, "msg": "no room in vlan 7", "details": "ask the network team"})
        platform.agent.exit = ExitInfo(reason=ExitReason.NOT_STARTED, code=125, at=1.0, message=said)
        platform.agent.obeys = new_ones(InstanceState.CRASHED)  # type: ignore[assignment]
        deploy(user, live, "b" * 40)
        platform.settle()
        failed = of_version(live, 3)
        assert failed.error_id == "not_started"
        assert failed.message == f"web.1: could not be started: {said}"
        assert live.releases.get(version=3).message == failed.message
        platform.agent.set(
            str(Instance.objects.get(app=live).id), InstanceState.CRASHED, last_exit=platform.agent.exit
        )
        platform.agent.tell()
        (dyno,) = dynos(live)
        assert dyno.exit_message == f"could not be started: {said}"
        browser = Client()
        browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        page = browser.get("/dashboard/apps/shop").content.decode()
        assert said in page
        assert "refused ADD: no room in vlan 7: ask the network team (code 11)" in said

    def test_one_that_never_comes_up(self, platform: Platform, live: App, user: User) -> None:
        deployment = reach(platform, live, user, Phase.START)
        live.refresh_from_db()
        assert live.wake_at > timezone.now()
        overdue = timezone.now() - timedelta(seconds=1000)
        Deployment.objects.filter(id=deployment.id).update(phase_since=overdue)
        reconcile_app(live.id)
        deployment.refresh_from_db()
        assert (deployment.status, deployment.error_id) == ("failed", "start_timeout")
        release_machines(platform)
        assert serving(platform) == [2]

    def test_no_host_has_room(self, platform: Platform, live: App, user: User) -> None:
        scale(user, live, [FormationUpdate("web", 100, "performance-l")])
        reconcile_app(live.id)
        platform.agent.obey()
        deployment = of_version(live, 3)
        assert deployment.status == "active"
        Deployment.objects.filter(id=deployment.id).update(
            phase_since=timezone.now() - timedelta(seconds=1000)
        )
        reconcile_app(live.id)
        deployment.refresh_from_db()
        assert (deployment.status, deployment.error_id) == ("failed", "no_capacity")
        platform.settle()
        assert serving(platform) == [2]

    def test_the_release_command_fails(self, platform: Platform, live: App, user: User) -> None:
        reach(platform, live, user, Phase.RELEASE)
        (job,) = platform.agent.jobs
        platform.agent.end(job, JobState.FAILED, platform.agent.exit)
        platform.settle()
        failed = of_version(live, 3)
        assert (failed.status, failed.error_id) == ("failed", "release_command_failed")
        assert failed.message == "the release command exited with status 1"
        assert serving(platform) == [2]


class TestReleasePhase:
    def test_it_runs_once_before_anything_starts(self, platform: Platform, live: App, user: User) -> None:
        reach(platform, live, user, Phase.RELEASE)
        (job,) = platform.agent.specs.values()
        assert job.container.argv[-1] == "python migrate.py"
        assert job.container.name.startswith("release.")
        assert Instance.objects.filter(release__version=3).count() == 0
        reconcile_app(live.id)
        reconcile_app(live.id)
        platform.worker.drain()
        assert len(platform.agent.specs) == 1
        release_machines(platform)
        assert serving(platform) == [3]

    def test_its_output_stays_with_the_release(self, platform: Platform, live: App, user: User) -> None:
        deploy(user, live, "b" * 40, **RELEASE_TYPES)
        reconcile_app(live.id)
        one_off = live.one_offs.get()
        platform.agent.output[str(one_off.id)] = ["Applying 0001", "nul \0 byte"]
        platform.worker.drain()
        assert (
            Release.objects.get(app=live, version=3).output
            == "Applying 0001\nnul \N{REPLACEMENT CHARACTER} byte"
        )

    def test_a_rollback_runs_none(self, platform: Platform, live: App, user: User) -> None:
        reach(platform, live, user, Phase.RELEASE)
        release_machines(platform)
        deploy(user, live, "c" * 40)
        platform.settle()
        rollback(user, live, live.releases.get(version=3))
        platform.settle()
        assert len(platform.agent.specs) == 1
        assert serving(platform) == [5]


def test_a_cut_over_waits_for_every_live_router(
    platform: Platform, live: App, user: User, make_router: object
) -> None:
    second = make_router("second")  # type: ignore[operator]
    second.applies = False
    deploy(user, live, "b" * 40)
    for _ in range(4):
        step(platform)
        platform.edge.tell()
        second.tell()
    assert of_version(live, 3).phase == "cutover"
    Router.objects.filter(id=second.router.id).update(seen_at=timezone.now() - timedelta(minutes=1))
    reconcile_app(live.id)
    assert of_version(live, 3).phase in {"drain", "done"}, "nobody waits for a router that is gone"


def test_one_is_active_at_a_time(live: App) -> None:
    release, now = live.releases.get(version=2), timezone.now()
    Deployment.objects.create(app=live, release=release, phase_since=now)
    with pytest.raises(IntegrityError), transaction.atomic():
        Deployment.objects.create(app=live, release=release, phase_since=now)


def test_without_a_router_it_goes_live_all_the_same(platform: Platform, app: App, user: User) -> None:
    Router.objects.all().delete()
    for version, commit in ((2, "a" * 40), (3, "b" * 40)):
        deploy(user, app, commit)
        for _ in range(4):
            step(platform)
            tick()  # no router's report makes anybody look again
        assert of_version(app, version).status == "succeeded"
    assert Instance.objects.get(app=app).release.version == 3
