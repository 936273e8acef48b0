"""The network commands: what they ask and what they print."""

from __future__ import annotations

import pytest

from .conftest import Paas, Platform

pytestmark = pytest.mark.unit

BACK = {
    "name": "back",
    "internal": True,
    "members": [{"app": "shop", "aliases": ["shop"]}, {"app": "store", "aliases": ["db", "cache"]}],
    "hidden_members": 2,
}
MEMBER = {"app": "shop", "network": "back", "aliases": ["db", "cache"]}


@pytest.fixture(autouse=True)
def shop(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAAS_APP", "shop")


def test_listing(platform: Platform, paas: Paas) -> None:
    platform.answer("GET", "/networks", [BACK])
    words = paas("networks").out.split("\n")[1].split(None, 2)
    assert words == ["back", "internal", "shop (shop), store (db, cache), 2 more"]
    platform.answer("GET", "/networks", [])
    assert "paas networks:create" in paas("networks").err


def test_making_and_destroying(platform: Platform, paas: Paas) -> None:
    platform.answer("POST", "/networks", BACK, status=201)
    assert "paas networks:join back -a APP" in paas("networks:create", "back", "--internal").out
    assert platform.last.body == {"name": "back", "internal": True}
    platform.answer("DELETE", "/networks/back", BACK)
    assert paas("networks:destroy", "back").out == "Destroyed back.\n"


def test_joining_and_leaving(platform: Platform, paas: Paas) -> None:
    platform.answer("POST", "/networks/back/members", MEMBER, status=201)
    done = paas("networks:join", "back", "--alias", "db", "--alias", "cache")
    assert done.out == "shop is in back, as db.back.internal, cache.back.internal.\n"
    assert platform.last.body == {"app": "shop", "aliases": ["db", "cache"]}
    platform.answer("DELETE", "/networks/back/members/shop", MEMBER)
    assert paas("networks:leave", "back").out == "shop has left back.\n"
