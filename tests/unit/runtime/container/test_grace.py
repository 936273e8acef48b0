"""Where a process finds its own control group."""

from __future__ import annotations

import pytest

from runtime.container.grace import place_of

pytestmark = pytest.mark.unit

V1 = "9:name=systemd:/\n8:pids:/system.slice/paas-agent.service\n4:memory:/other\n0::/\n"


@pytest.mark.parametrize(
    ("membership", "place"),
    [
        (V1, "pids/system.slice/paas-agent.service"),
        ("5:cpu,pids:/a:b\n", "pids/a:b"),
        ("0::/system.slice/paas-agent.service\n", "system.slice/paas-agent.service"),
        ("0::/\n", ""),
        ("0::/../../outside\n", None),
        ("8:pids:/..\n0::/\n", None),
        ("4:memory:/a\n", None),
    ],
)
def test_the_own_group_by_version(membership: str, place: str | None) -> None:
    assert place_of(membership) == place
