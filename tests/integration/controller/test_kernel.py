"""Kernel parameters: part of the release, given to every process, refused before a release is made."""

from __future__ import annotations

import pytest

from paas.controller.models import App, Event, Instance, Release, User
from paas.controller.selectors.kernel import KernelParameters, kernel_parameters, release_kernel
from paas.controller.selectors.releases import diff, newest_release
from paas.controller.selectors.specs import one_off_spec, template
from paas.controller.services.config import set_config
from paas.controller.services.kernel import set_kernel
from paas.controller.services.releases import rollback
from paas.errors import InvalidParams
from runtime.kernel import UNLIMITED
from runtime.model import ExitInfo, ExitReason, InstanceState
from tests.integration.controller.conftest import deploy
from tests.integration.controller.machines import Platform
from tests.integration.controller.threads import failures, together

pytestmark = pytest.mark.integration


def newest(app: App) -> Release:
    release = newest_release(app)
    assert release is not None
    return release


def test_both_kinds_in_one_release(user: User, app: App) -> None:
    release = set_kernel(
        user,
        app,
        {"net.core.somaxconn": " 4096", "net.ipv4.ip_local_port_range": "2000\t60999"},
        {"nofile": "1024:65536", "memlock": "unlimited"},
    )
    assert release is not None
    assert (release.version, release.kind) == (2, "kernel")
    assert release.description == (
        "Set kernel parameters memlock=unlimited, net.core.somaxconn=4096, "
        "net.ipv4.ip_local_port_range=2000 60999, nofile=1024:65536"
    )
    assert kernel_parameters(app) == KernelParameters(
        {"net.core.somaxconn": "4096", "net.ipv4.ip_local_port_range": "2000 60999"},
        {"nofile": (1024, 65536), "memlock": (UNLIMITED, UNLIMITED)},
    )
    assert Event.objects.filter(app_id=app.id, actor=user).latest("id").action == "release.create"


def test_unsetting_and_changing(user: User, app: App) -> None:
    set_kernel(user, app, {"net.core.somaxconn": "4096"}, {"nofile": "4096"})
    release = set_kernel(
        user, app, {"net.core.somaxconn": None, "kernel.shmmax": "1000000"}, {"nofile": "5000"}
    )
    assert release is not None
    assert release.description == (
        "Set kernel parameters kernel.shmmax=1000000, nofile=5000 and unset kernel parameters net.core.somaxconn"
    )
    gone = set_kernel(user, app, {"kernel.shmmax": None}, {"nofile": None})
    assert gone is not None
    assert gone.kernel == {}
    assert kernel_parameters(app) == KernelParameters()


def test_what_changes_nothing_makes_no_release(user: User, app: App) -> None:
    set_kernel(user, app, {"net.core.somaxconn": "4096"}, {"nofile": "4096"})
    assert set_kernel(user, app) is None
    assert set_kernel(user, app, {"net.core.somaxconn": "04096"}, {"nofile": "4096:4096"}) is None
    assert set_kernel(user, app, {"kernel.shmmax": None, "net.ipv4.ip_forward": None}, {"core": None}) is None
    assert app.releases.count() == 2


@pytest.mark.parametrize(
    ("sysctls", "ulimits", "words"),
    [
        ({"net.ipv4.ip_forward": "1"}, {}, "'net.ipv4.ip_forward' cannot be set for a container"),
        ({"kernel.core_pattern": "|/bin/sh"}, {}, "cannot be set"),
        ({"net.core.somaxcon": "1"}, {}, r"Did you mean net\.core\.somaxconn"),
        ({"net.core.somaxconn": "1000000"}, {}, "from 1 to 65535"),
        ({"net.core.somaxconn": ""}, {}, "one whole number"),
        ({}, {"rtprio": "99"}, "Allowed are"),
        ({}, {"nofile": "unlimited"}, "64 to 1048576 files"),
        ({}, {"nofile": "9:8:7"}, "SOFT:HARD"),
    ],
)
def test_refusals_change_nothing(
    user: User, app: App, sysctls: dict[str, str], ulimits: dict[str, str], words: str
) -> None:
    with pytest.raises(InvalidParams, match=words):
        set_kernel(user, app, {"kernel.shmmax": "1000000", **sysctls}, ulimits)
    assert app.releases.count() == 1
    assert kernel_parameters(app) == KernelParameters()


def test_every_process_gets_them_by_being_replaced(platform: Platform, live: App, user: User) -> None:
    (old,) = platform.agent.wanted.values()
    assert (old.container.sysctls, old.container.ulimits) == ({}, {})
    set_kernel(user, live, {"net.core.somaxconn": "4096"}, {"nofile": "65536"})
    platform.settle()
    (new,) = platform.agent.wanted.values()
    assert new.container.id != old.container.id
    assert new.container.sysctls == {"net.core.somaxconn": "4096"}
    assert new.container.ulimits == {"nofile": (65536, 65536)}
    live.refresh_from_db()
    assert live.current_release == newest(live)
    job = one_off_spec(newest(live), "run.1", "true", "standard-1x", {}, live.id, 60)
    assert (job.container.sysctls, job.container.ulimits) == (new.container.sysctls, new.container.ulimits)


def test_the_old_instance_stays_until_the_new_one_is_up(platform: Platform, live: App, user: User) -> None:
    (old,) = platform.agent.wanted
    platform.agent.obeys = lambda spec: InstanceState.STARTING if spec.container.sysctls else InstanceState.UP
    set_kernel(user, live, {"net.core.somaxconn": "4096"})
    platform.settle()
    assert set(platform.agent.wanted) > {old}
    platform.agent.obeys = lambda spec: InstanceState.UP
    platform.settle()
    assert old not in platform.agent.wanted
    assert Instance.objects.filter(app=live, release=newest(live)).exists()


def test_a_host_that_lacks_a_sysctl_fails_the_release_in_its_own_words(
    platform: Platform, live: App, user: User
) -> None:
    (old,) = platform.agent.wanted
    words = (
        "The sysctl net.core.somaxconn cannot be set: the kernel of this host (4.4) has none per container."
    )
    platform.agent.exit = ExitInfo(reason=ExitReason.NOT_STARTED, at=1.0, message=words)
    platform.agent.obeys = lambda spec: InstanceState.CRASHED if spec.container.sysctls else InstanceState.UP
    release = set_kernel(user, live, {"net.core.somaxconn": "4096"})
    platform.settle()
    assert release is not None
    release.refresh_from_db()
    assert release.status == "failed"
    assert words in release.message
    assert set(platform.agent.wanted) == {old}
    assert kernel_parameters(live) == KernelParameters()


def test_an_app_without_any_is_what_it_was(live: App, user: User) -> None:
    before = template(newest(live), "web")
    set_kernel(user, live, {"net.core.somaxconn": "4096"})
    assert template(newest(live), "web") != before
    set_kernel(user, live, {"net.core.somaxconn": None})
    assert template(newest(live), "web") == before


def test_they_stay_with_the_app_and_go_back_with_a_release(platform: Platform, live: App, user: User) -> None:
    set_kernel(user, live, {"net.core.somaxconn": "4096"}, {"nofile": "65536"})
    platform.settle()
    tuned = newest(live)
    set_config(user, live, {"A": "1"})
    deploy(user, live, "b" * 40)
    assert newest(live).kernel == tuned.kernel
    set_kernel(user, live, {"net.core.somaxconn": "128"}, {"nofile": None})
    changes = diff(tuned, newest(live))
    assert changes.kernel == {"net.core.somaxconn": ("4096", "128"), "nofile": ("65536", "")}
    assert not changes.empty
    rollback(user, live, tuned)
    assert release_kernel(newest(live)) == release_kernel(tuned)
    assert diff(tuned, newest(live)).kernel == {}
    rollback(user, live, live.releases.get(version=2))
    assert kernel_parameters(live) == KernelParameters()


def test_a_release_keeps_them_as_they_are(user: User, app: App) -> None:
    set_kernel(user, app, {"net.core.somaxconn": "4096"})
    with pytest.raises(TypeError, match="immutable"):
        app.releases.update(kernel={})


def test_changes_at_once_all_count(user: User, app: App) -> None:
    names = ["kernel.msgmax", "kernel.msgmnb", "kernel.shmmax", "net.core.somaxconn"]
    results = together(*[lambda name=name: set_kernel(user, app, {name: "4096"}) for name in names])
    assert failures(results) == []
    assert kernel_parameters(app).sysctls == dict.fromkeys(names, "4096")
