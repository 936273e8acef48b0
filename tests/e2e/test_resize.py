"""Another size for an app under load: the same containers, other limits, no failed request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import apps
from tests.e2e.load import Load
from tests.e2e.platform import Platform
from tests.e2e.test_kernel_parameters import settle

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
MIB = 1024**2
FILES = ("memory/*/{id}/memory.limit_in_bytes", "*/{id}/memory.max", "*/*/{id}/memory.max")


def memory_of(dyno: str) -> set[int]:
    """What the kernel says, on the host that this test shares with the platform."""
    found = (file for name in FILES for file in Path("/sys/fs/cgroup").glob(name.format(id=dyno)))
    return {int(file.read_text()) // MIB for file in found}


def dynos(platform: Platform, app: str) -> dict[str, dict]:
    return {one["id"]: one for one in platform.api("GET", f"/apps/{app}/dynos").json()}


def test_a_size_changes_without_a_restart(platform: Platform, make_repository: Callable[..., Path]) -> None:
    app = platform.create_app("grows")
    assert platform.git_push(make_repository(files=apps.plain("one"), name=app), app).code == 0
    before = dynos(platform, app)
    (dyno,) = before
    assert memory_of(dyno) == {512}
    with Load(platform.port("PAAS_ROUTER_PORT"), f"{app}.{platform.domain}", rate=50) as load:
        for size, memory in (("standard-2x", 1024), ("standard-1x", 512)):
            answer = platform.api("PATCH", f"/apps/{app}/formation/web", {"size": size})
            assert answer.status == 200, answer.text
            version = settle(platform, app)
            now = dynos(platform, app)
            assert set(now) == {dyno}
            assert (now[dyno]["size"], now[dyno]["release"]["version"]) == (size, version)
            assert now[dyno]["created_at"] == before[dyno]["created_at"]
            assert memory_of(dyno) == {memory}
    assert not load.failures, load.summary()
    lines = platform.api("GET", f"/apps/{app}/releases").json()
    assert len(lines) >= 4
    platform.api("DELETE", f"/apps/{app}")
