"""`paas logs --crash`: what it asks and what it prints."""

from __future__ import annotations

import pytest

from .conftest import Paas, Platform

pytestmark = pytest.mark.unit

CRASH = {
    "created_at": "2026-11-01T10:00:05Z",
    "dyno": "web.1",
    "message": "exited with status 3",
    "ran_seconds": 4.25,
    "release": {"version": 7},
    "run": 2,
    "host": "fjord",
    "first_lines": ["listening"],
    "last_lines": ["Traceback", "KeyError: 'cart'"],
}
SILENT = CRASH | {"dyno": "worker.1", "first_lines": [], "last_lines": [], "ran_seconds": None}


def test_the_last_one_is_at_the_end(platform: Platform, paas: Paas) -> None:
    platform.answer("GET", "/apps/shop/crashes", [CRASH, SILENT])
    assert paas("logs", "--crash", "-a", "shop").out == (
        "2026-11-01T10:00:05Z worker.1 exited with status 3 (v7, run 2, on fjord)\n"
        "  (it had written nothing)\n"
        "\n"
        "2026-11-01T10:00:05Z web.1 exited with status 3 after 4.2 s (v7, run 2, on fjord)\n"
        "  listening\n"
        "  …\n"
        "  Traceback\n"
        "  KeyError: 'cart'\n"
    )
    assert paas("logs", "--crash", "-n", "1", "-a", "shop").out.startswith("2026-11-01T10:00:05Z web.1")


def test_none_and_what_does_not_go_together(platform: Platform, paas: Paas) -> None:
    platform.answer("GET", "/apps/shop/crashes?dyno=web", [])
    assert paas("logs", "--crash", "--dyno", "web", "-a", "shop").err.startswith("web has not crashed")
    assert "--num and --dyno only" in paas("logs", "--crash", "--tail", "-a", "shop").err
