"""OCI runtime, seccomp profile and read-only root: part of the release, placed where they are offered."""

from __future__ import annotations

import pytest

from paas.controller.models import App, Host, Release, User
from paas.controller.selectors.releases import diff, newest_release
from paas.controller.selectors.sandbox import Sandbox, offered, sandbox_of
from paas.controller.selectors.specs import one_off_spec
from paas.controller.services.one_offs import Run, run_detached
from paas.controller.services.releases import rollback
from paas.controller.services.sandbox import set_sandbox
from paas.errors import InvalidParams, Unavailable
from runtime.model import Offer, OfferedRuntime
from tests.integration.controller.machines import Platform

pytestmark = pytest.mark.integration

NO_KVM = "The runtime kata runs containers in virtual machines, and this host has no /dev/kvm."
OFFER = Offer(
    runtimes=(
        OfferedRuntime(name="crun"),
        OfferedRuntime(name="runsc"),
        OfferedRuntime(name="kata", problem=NO_KVM),
    ),
    seccomp=("browser",),
)


@pytest.fixture
def offering(platform: Platform) -> Platform:
    platform.agent.offer = OFFER
    platform.agent.tell()
    return platform


def newest(app: App) -> Release:
    release = newest_release(app)
    assert release is not None
    return release


def test_every_process_gets_it_by_being_replaced(offering: Platform, live: App, user: User) -> None:
    (old,) = offering.agent.wanted.values()
    assert (old.container.runtime, old.container.seccomp, old.container.readonly) == ("", "", False)
    before = newest(live)
    release = set_sandbox(user, live, runtime="runsc", seccomp="browser", readonly=True)
    assert release is not None
    assert release.description == "Set runtime=runsc, seccomp=browser, readonly=on"
    offering.settle()
    (new,) = offering.agent.wanted.values()
    assert new.container.id != old.container.id
    chosen = ("runsc", "browser", True)
    assert (new.container.runtime, new.container.seccomp, new.container.readonly) == chosen
    job = one_off_spec(newest(live), "run.1", "true", "standard-1x", {}, live.id, 60)
    assert (job.container.runtime, job.container.seccomp, job.container.readonly) == chosen
    assert diff(before, release).sandbox == {
        "readonly": ("", "on"),
        "runtime": ("", "runsc"),
        "seccomp": ("", "browser"),
    }
    assert set_sandbox(user, live, runtime="runsc") is None
    back = rollback(user, live, before)
    assert back.sandbox == {}
    assert sandbox_of(live) == Sandbox()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"runtime": "runc"}, "No host that is ready has the runtime 'runc'; there are: crun, runsc"),
        ({"runtime": "kata"}, "no /dev/kvm"),
        ({"seccomp": "loose"}, "seccomp profile 'loose'; there are: browser"),
    ],
)
def test_what_no_host_offers_is_refused(
    offering: Platform, live: App, user: User, changes: dict[str, str], words: str
) -> None:
    count = live.releases.count()
    with pytest.raises(InvalidParams, match=words):
        set_sandbox(user, live, **changes)
    assert live.releases.count() == count


def test_a_host_that_offers_it_no_longer(offering: Platform, live: App, user: User) -> None:
    set_sandbox(user, live, runtime="runsc")
    offering.settle()
    offering.agent.offer = Offer(runtimes=(OfferedRuntime(name="crun"),))
    offering.agent.tell()
    with pytest.raises(Unavailable, match="has the runtime runsc, which the app has chosen"):
        run_detached(user, live, Run("true"))
    live.refresh_from_db()
    assert len(offering.agent.wanted) == 1  # what runs, runs on


def test_silent_and_cordoned_hosts_offer_nothing(offering: Platform) -> None:
    from datetime import timedelta

    from django.utils import timezone

    since = timezone.now() - timedelta(seconds=15)
    there = offered(since)
    assert (there.runtimes, there.seccomp, there.problems) == (("crun", "runsc"), ("browser",), (NO_KVM,))
    Host.objects.update(cordoned=True)
    assert offered(since).runtimes == ()
