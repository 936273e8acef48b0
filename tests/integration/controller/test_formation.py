"""Scaling: absolute and relative, within bounds, all or nothing."""

from __future__ import annotations

import pytest

from paas.controller.models import App, Instance, User
from paas.controller.selectors.formation import formation
from paas.controller.services.formation import MAX_QUANTITY, FormationUpdate, scale
from paas.errors import InvalidParams, NotFound
from tests.integration.controller.machines import Platform
from tests.integration.controller.threads import failures, together

pytestmark = pytest.mark.integration


def quantities(app: App) -> dict[str, int]:
    return {row.type: row.quantity for row in formation(app)}


def test_the_first_deploy_runs_web_and_nothing_else(live: App) -> None:
    assert quantities(live) == {"web": 1, "worker": 0}
    assert [row.type for row in formation(live)] == ["web", "worker"]


def test_quantities(live: App, user: User) -> None:
    steps: list[tuple[int | str, int]] = [
        (3, 3),
        ("+2", 5),
        ("-1", 4),
        (" 2 ", 2),
        (MAX_QUANTITY, MAX_QUANTITY),
        (0, 0),
    ]
    for quantity, wanted in steps:
        scale(user, live, [FormationUpdate("web", quantity)])
        assert quantities(live)["web"] == wanted


def test_quantities_that_cannot_be(live: App, user: User) -> None:
    wrong: list[int | str] = [
        -2,
        "-2",
        MAX_QUANTITY + 1,
        "+100",
        "many",
        "",
        "1.5",
        "++1",
        "1e3",
        "9" * 20,
        True,
        "1\n2",
    ]
    for quantity in wrong:
        with pytest.raises(InvalidParams, match="web"):
            scale(user, live, [FormationUpdate("worker", 2), FormationUpdate("web", quantity)])
    assert quantities(live) == {"web": 1, "worker": 0}


def test_sizes(live: App, user: User) -> None:
    release = scale(user, live, [FormationUpdate("web", size="Standard-2X")])
    assert release is not None
    assert release.formation["web"] == {"command": "python app.py", "quantity": 1, "size": "standard-2x"}
    with pytest.raises(InvalidParams, match="There is no size huge; choose one of: standard-1x"):
        scale(user, live, [FormationUpdate("web", size="huge")])


def test_an_unknown_type_is_refused_naming_those_there_are(live: App, app: App, user: User) -> None:
    with pytest.raises(NotFound, match="it has: web, worker"):
        scale(user, live, [FormationUpdate("web", 2), FormationUpdate("cron", 1)])
    assert quantities(live)["web"] == 1


def test_before_the_first_deploy_there_is_nothing_to_scale(app: App, user: User) -> None:
    with pytest.raises(NotFound, match="none before its first deploy"):
        scale(user, app, [FormationUpdate("web", 1)])


def test_nothing_new_makes_no_release(live: App, user: User) -> None:
    assert scale(user, live, []) is None
    assert scale(user, live, [FormationUpdate("web", 1)]) is None
    assert scale(user, live, [FormationUpdate("web", "+1"), FormationUpdate("web", "-1")]) is None


def test_relative_changes_at_once_all_count(live: App, user: User) -> None:
    results = together(*[lambda: scale(user, live, [FormationUpdate("web", "+1")])] * 6)
    assert failures(results) == []
    assert quantities(live)["web"] == 7
    assert sorted(one.version for one in results) == list(range(3, 9))


def test_scaling_keeps_what_runs(platform: Platform, live: App, user: User) -> None:
    before = Instance.objects.get(app=live).id
    scale(user, live, [FormationUpdate("web", 3), FormationUpdate("worker", 2)])
    platform.settle()
    names = sorted(one.name for one in Instance.objects.filter(app=live))
    assert names == ["web.1", "web.2", "web.3", "worker.1", "worker.2"]
    assert Instance.objects.get(app=live, process_type="web", number=1).id == before
    assert len(platform.edge.route("shop").backends) == 3
    scale(user, live, [FormationUpdate("web", 1), FormationUpdate("worker", 0)])
    platform.settle()
    assert Instance.objects.get(app=live).id == before
    assert list(platform.agent.instances) == [str(before)]


def test_scaled_to_nothing_says_so(platform: Platform, live: App, user: User) -> None:
    scale(user, live, [FormationUpdate("web", 0)])
    platform.settle()
    route = platform.edge.route("shop")
    assert (route.backends, route.empty) == ((), "no_web")
