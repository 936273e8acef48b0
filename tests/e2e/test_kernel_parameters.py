"""Kernel parameters of an app, set while it serves: no failed request, seen by the app, unseen by the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import apps
from tests.e2e.load import Load
from tests.e2e.platform import Platform, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SOMAXCONN = Path("/proc/sys/net/core/somaxconn")
SHOW = """if self.path == "/kernel":
            import resource
            shown = [open("/proc/sys/" + name).read().split() for name in ("net/core/somaxconn", "kernel/shmmax")]
            body = repr((shown, resource.getrlimit(resource.RLIMIT_NOFILE))).encode()
        elif self.path == "/env":"""


def app_that_tells() -> dict[str, str]:
    """The plain server, which also shows what kernel it sees."""
    files = apps.plain("one")
    return files | {"server.py": files["server.py"].replace('if self.path == "/env":', SHOW)}


def kernel_of(platform: Platform, app: str) -> tuple[list[list[str]], tuple[int, int]]:
    answer = platform.get(app, "/kernel")
    assert answer.status == 200, answer.text
    return eval(answer.text, {})  # the test's own app wrote it


def change(platform: Platform, app: str, body: dict) -> int:
    """Change parameters, and wait until their release is live and the old instances are gone; its version."""
    answer = platform.api("PATCH", f"/apps/{app}/kernel", body)
    assert answer.status == 200, answer.text
    return settle(platform, app)


def settle(platform: Platform, app: str) -> int:
    version = max(one["version"] for one in platform.api("GET", f"/apps/{app}/releases").json())

    def settled() -> bool:
        rows = platform.api("GET", f"/apps/{app}/deployments").json()
        (mine,) = [one for one in rows if one["release"]["version"] == version]
        assert mine["status"] in {"active", "succeeded"}, mine
        return mine["status"] == "succeeded"

    until(settled, 90, f"v{version} of {app} is live", 0.2)
    return version


def test_set_roll_back_and_unset_under_load(platform: Platform, make_repository: Callable[..., Path]) -> None:
    host_before = SOMAXCONN.read_text()
    app, other = platform.create_app("tuned"), platform.create_app("untuned")
    for name in (app, other):
        assert platform.git_push(make_repository(files=app_that_tells(), name=name), name).code == 0
    usual = kernel_of(platform, app)
    tuned = ([["1234"], ["7654321"]], (1000, 2000))
    assert usual != tuned
    with Load(platform.port("PAAS_ROUTER_PORT"), f"{app}.{platform.domain}", rate=50) as load:
        wishes = {"sysctls": {"net.core.somaxconn": 1234, "kernel.shmmax": "7654321"}}
        set_in = change(platform, app, wishes | {"ulimits": {"nofile": "1000:2000"}})
        assert [kernel_of(platform, app) for _ in range(10)] == [tuned] * 10
        assert kernel_of(platform, other) == usual
        assert SOMAXCONN.read_text() == host_before

        unset_in = change(
            platform, app, {"sysctls": dict.fromkeys(wishes["sysctls"]), "ulimits": {"nofile": None}}
        )
        assert kernel_of(platform, app) == usual
        diff = platform.api("GET", f"/apps/{app}/releases/{set_in}/diff/{unset_in}").json()
        assert diff["kernel"]["net.core.somaxconn"] == ["1234", ""]

        assert platform.api("POST", f"/apps/{app}/releases", {"release": str(set_in)}).status == 201
        settle(platform, app)
        assert kernel_of(platform, app) == tuned
    assert load.sent > 50
    assert not load.failures, load.summary()
    for name in (app, other):
        platform.api("DELETE", f"/apps/{name}")


def test_what_is_not_allowed_is_refused_and_nothing_happens(
    platform: Platform, make_repository: Callable[..., Path]
) -> None:
    app = platform.create_app("untunable")
    assert platform.git_push(make_repository(files=apps.plain("one")), app).code == 0
    before = platform.api("GET", f"/apps/{app}/releases").json()
    for body in (
        {"sysctls": {"net.ipv4.ip_forward": "1"}},
        {"sysctls": {"net.core.somaxconn": "0"}},
        {"ulimits": {"rtprio": 99}},
    ):
        answer = platform.api("PATCH", f"/apps/{app}/kernel", body)
        assert (answer.status, answer.json()["id"]) == (422, "invalid_params")
    assert platform.api("GET", f"/apps/{app}/releases").json() == before
    assert platform.get(app).status == 200
    platform.api("DELETE", f"/apps/{app}")


def test_a_ulimit_above_the_hosts_is_told_in_the_log(
    platform: Platform, make_repository: Callable[..., Path]
) -> None:
    app = platform.create_app("greedy")
    assert platform.git_push(make_repository(files=app_that_tells()), app).code == 0
    change(platform, app, {"ulimits": {"memlock": "unlimited", "nofile": 1024 * 1024}})
    soft, hard = kernel_of(platform, app)[1]
    if hard == 1024 * 1024:
        return  # a host that allows what was wished for has nothing to tell

    def told() -> bool:
        session = platform.api("POST", f"/apps/{app}/log-sessions", {"lines": 200}).json()
        path = session["logplex_url"].partition("/log-sessions/")[2]
        text = platform.api("GET", f"/log-sessions/{path}", Accept="text/plain").text
        return f"The ulimit nofile is {hard} instead of 1048576: this host allows its agent no more" in text

    assert soft == hard
    until(told, 20, "the log says what was cut", 0.5)
    platform.api("DELETE", f"/apps/{app}")
