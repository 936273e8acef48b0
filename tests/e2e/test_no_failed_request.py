"""200 requests a second while releases change: not one may fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import apps
from tests.e2e.load import Load
from tests.e2e.platform import Platform, commit, until

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(600)]


def settled(platform: Platform, app: str, version: int) -> bool:
    """Whether the release is current and its deployment is over, the old instances gone."""
    deployments = platform.api("GET", f"/apps/{app}/deployments").json()
    mine = [one for one in deployments if one["release"]["version"] == version]
    failed = [one for one in mine if one["status"] not in {"active", "succeeded"}]
    assert not failed, failed
    return bool(mine) and mine[0]["status"] == "succeeded"


def newest(platform: Platform, app: str) -> int:
    return max(one["version"] for one in platform.api("GET", f"/apps/{app}/releases").json())


def wait_settled(platform: Platform, app: str) -> None:
    version = newest(platform, app)
    until(
        lambda: settled(platform, app, version),
        90,
        f"v{version} of {app} is live and the old instances are gone",
        0.2,
    )


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("fast", apps.flask("one"), apps.flask("two")),
        ("slow", apps.plain("one", boot=4), apps.plain("two", boot=4)),
    ],
)
def test_every_change_under_load(
    platform: Platform, make_repository: Callable[..., Path], kind: str, first: dict, second: dict
) -> None:
    app = platform.create_app(f"load-{kind}")
    folder = make_repository(files=first)
    assert platform.git_push(folder, app).code == 0
    with Load(platform.port("PAAS_ROUTER_PORT"), f"{app}.{platform.domain}") as load:
        commit(folder, "second", second)
        pushed = platform.git_push(folder, app)
        assert pushed.code == 0, pushed.output
        answers = {platform.get(app).text.split(" ")[0] for _ in range(30)}
        assert answers == {"two"}, "a push that has ended is what answers, and nothing else does"
        wait_settled(platform, app)

        assert platform.api("PATCH", f"/apps/{app}/config-vars", {"GREETING": "grüß\nGott"}).status == 200
        wait_settled(platform, app)

        for quantity in (5, 2):
            changed = platform.api(
                "PATCH", f"/apps/{app}/formation", {"updates": [{"type": "web", "quantity": quantity}]}
            )
            assert changed.status == 200, changed.text
            wait_settled(platform, app)
            until(
                lambda wanted=quantity: up(platform, app) == wanted, 60, f"{quantity} instances are up", 0.2
            )

        before = newest(platform, app)
        assert platform.api("POST", f"/apps/{app}/releases", {"release": "2"}).status == 201
        wait_settled(platform, app)
        assert newest(platform, app) == before + 1
        until(lambda: platform.get(app).text.startswith("one"), 10, "the rolled back code answers")
        until(lambda: up(platform, app) == 1, 30, "the rollback restored the formation", 0.2)
        assert platform.api("GET", f"/apps/{app}/config-vars").json() == {}
    assert load.sent > 1000
    assert not load.failures, load.summary()
    versions = {body.split(" ")[0] for body in load.bodies}
    assert versions == {"one", "two"}
    dynos = {body.split(" ")[1] for body in load.bodies}
    assert {"web.1", "web.2", "web.3", "web.4", "web.5"} <= dynos
    platform.api("DELETE", f"/apps/{app}")


def up(platform: Platform, app: str) -> int:
    dynos = platform.api("GET", f"/apps/{app}/dynos").json()
    return sum(one["type"] == "web" and one["state"] == "up" for one in dynos)


def test_restart_and_maintenance_lose_nothing(
    platform: Platform, make_repository: Callable[..., Path]
) -> None:
    app = platform.create_app("load-restart")
    assert platform.git_push(make_repository(files=apps.plain("one")), app).code == 0
    ids = {one["id"] for one in platform.api("GET", f"/apps/{app}/dynos").json()}
    with Load(platform.port("PAAS_ROUTER_PORT"), f"{app}.{platform.domain}") as load:
        assert platform.api("DELETE", f"/apps/{app}/dynos").status == 202

        def replaced() -> bool:
            dynos = platform.api("GET", f"/apps/{app}/dynos").json()
            return [one["state"] for one in dynos] == ["up"] and dynos[0]["id"] not in ids

        until(replaced, 60, "the instance was replaced", 0.2)
    assert not load.failures, load.summary()
    assert platform.api("PATCH", f"/apps/{app}", {"maintenance": True}).status == 200
    page = until(lambda: _status(platform, app, 503), 10, "the maintenance page shows")
    assert "H80" in page.text or "maintenance" in page.text.lower()
    assert platform.api("PATCH", f"/apps/{app}", {"maintenance": False}).status == 200
    until(lambda: _status(platform, app, 200), 10, "the app answers again")
    platform.api("DELETE", f"/apps/{app}")


def _status(platform: Platform, app: str, wanted: int):
    answer = platform.get(app)
    return answer if answer.status == wanted else None
