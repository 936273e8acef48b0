"""The egress commands: what they ask and what they print."""

from __future__ import annotations

import pytest

from .conftest import Paas, Platform

pytestmark = pytest.mark.unit

EGRESS = "/apps/shop/egress"
FREE = {"policy": "allow", "rules": []}
LISTED = {"policy": "list", "rules": ["192.0.2.1/32", "*.example.com:443/tcp"]}


@pytest.fixture(autouse=True)
def shop(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAAS_APP", "shop")


def test_showing(platform: Platform, paas: Paas) -> None:
    platform.answer("GET", EGRESS, {"app": LISTED, "build": {"policy": "deny", "rules": []}})
    done = paas("egress")
    assert done.err == ""
    assert done.out == (
        "shop may go to these only:\n  192.0.2.1/32\n  *.example.com:443/tcp\n"
        "A build of shop may go nowhere but its own instances\n"
    )
    platform.answer("GET", EGRESS, {"app": FREE, "build": FREE})
    assert "paas egress:allow" in paas("egress").err


def test_a_rule_is_added_and_taken_away(platform: Platform, paas: Paas) -> None:
    platform.answer("GET", EGRESS, {"app": FREE, "build": FREE})
    platform.answer("PATCH", EGRESS, {"app": LISTED, "build": FREE})
    done = paas("egress:allow", "192.0.2.1", "*.example.com:443")
    assert done.out == "shop may go to these only: 192.0.2.1/32 *.example.com:443/tcp\n"
    assert platform.asked[-1].body == {"app": {"policy": "list", "rules": ["192.0.2.1", "*.example.com:443"]}}
    platform.answer("GET", EGRESS, {"app": LISTED, "build": FREE})
    paas("egress:deny", "192.0.2.1/32")
    assert platform.asked[-1].body == {"app": {"policy": "list", "rules": ["*.example.com:443/tcp"]}}
    paas("egress:deny", *LISTED["rules"])
    assert platform.asked[-1].body == {"app": {"policy": "deny", "rules": []}}
    done = paas("egress:deny", "192.0.2.9")
    assert done.code != 0
    assert "has no egress rule 192.0.2.9" in done.err


def test_nothing_and_everything(platform: Platform, paas: Paas) -> None:
    platform.answer("GET", EGRESS, {"app": LISTED, "build": FREE})
    platform.answer("PATCH", EGRESS, {"app": FREE, "build": {"policy": "deny", "rules": []}})
    done = paas("egress:deny", "--build")
    assert done.out == "A build of shop may go nowhere but its own instances\n"
    assert platform.asked[-1].body == {"build": {"policy": "deny", "rules": []}}
    assert paas("egress:clear").out == "shop may go everywhere\n"
    assert platform.asked[-1].body == {"app": {"policy": "allow", "rules": []}}
