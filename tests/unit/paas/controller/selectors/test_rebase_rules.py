"""Whether a slug can go on newer layers of its stack without a build."""

from __future__ import annotations

import pytest

from paas.controller.selectors.stacks import breaks

pytestmark = pytest.mark.unit

BUILT = {"os": "debian 12", "python": "3.11", "node": "18"}


@pytest.mark.parametrize(
    ("now", "buildpacks", "reason"),
    [
        ({}, ["static"], ""),
        ({"python": "3.12"}, ["static"], ""),
        ({"python": "3.12"}, ["nodejs"], ""),
        ({"python": "3.12"}, ["python"], "it was built for python 3.11, the stack has 3.12 now"),
        ({"node": "20"}, ["python", "nodejs"], "it was built for node 18, the stack has 20 now"),
        ({"node": ""}, ["nodejs"], "it was built for node 18, the stack has none now"),
        ({"os": "debian 13"}, ["static"], "it was built for debian 12, the stack is debian 13 now"),
    ],
)
def test_rules(now: dict[str, str], buildpacks: list[str], reason: str) -> None:
    assert breaks(BUILT, BUILT | now, buildpacks) == reason


def test_a_slug_of_which_nothing_is_known() -> None:
    assert breaks({}, BUILT, []) == "it is not known what it was built against"
