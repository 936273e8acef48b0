"""Another size for what runs: the same containers under other limits, or replacements where those do not fit."""

from __future__ import annotations

import pytest

from paas.controller.models import App, Instance, User
from paas.controller.selectors.formation import SIZES
from paas.controller.selectors.specs import size_limits
from paas.controller.services.config import set_config
from paas.controller.services.formation import FormationUpdate, scale
from paas.controller.services.instances import restart
from runtime.model import InstanceState
from tests.integration.controller.machines import Platform

pytestmark = pytest.mark.integration


def running(app: App) -> dict[str, Instance]:
    return {
        str(one.id): one for one in Instance.objects.filter(app=app, wanted="run").select_related("release")
    }


def test_a_size_reaches_the_containers_that_run(platform: Platform, live: App, user: User) -> None:
    scale(user, live, [FormationUpdate("web", 2)])
    platform.settle()
    before = running(live)
    release = scale(user, live, [FormationUpdate("web", None, "standard-2x")])
    platform.settle()
    after = running(live)
    assert set(after) == set(before)
    limits = size_limits(SIZES["standard-2x"])
    for id_, one in after.items():
        assert platform.agent.wanted[id_].container.limits == limits
        assert (one.release, one.memory_bytes) == (release, limits.memory_bytes)
        assert "nothing of web but its size" in one.reason
        assert platform.agent.wanted[id_].container.env["MEMORY_AVAILABLE"] == "1024"
    live.refresh_from_db()
    assert live.current_release_id == release.id
    assert len(platform.edge.route("shop").backends) == 2


def test_one_that_its_host_cannot_resize_is_replaced(platform: Platform, live: App, user: User) -> None:
    scale(user, live, [FormationUpdate("web", None, "standard-2x")])
    platform.settle()
    (old,) = running(live)
    scale(user, live, [FormationUpdate("web", None, "standard-1x")])
    platform.settle()
    assert set(running(live)) == {old}
    platform.agent.set(old, InstanceState.UP, limits_problem="It uses 900 MiB, which do not fit in 512 MiB.")
    platform.agent.tell()
    platform.settle()
    (new,) = running(live)
    assert new != old
    assert old not in platform.agent.wanted
    assert len(platform.edge.route("shop").backends) == 1


def test_a_restart_and_another_change_replace_as_ever(platform: Platform, live: App, user: User) -> None:
    before = set(running(live))
    restart(user, live)
    platform.settle()
    restarted = set(running(live))
    assert not restarted & before
    set_config(user, live, {"A": "b"})
    platform.settle()
    assert not set(running(live)) & restarted
