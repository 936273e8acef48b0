"""An app's log in Redis: bounded in lines and in bytes, whatever an app writes."""

from __future__ import annotations

import time

import pytest

from paas.controller import streams
from paas.controller.models import App
from paas.controller.redis_connection import client
from paas.controller.selectors.logs import recent
from paas.controller.services.logs import LINE_MAX, MAX_BYTES, Line, write

pytestmark = pytest.mark.integration


def lines(app: App, count: int, text: str) -> list[Line]:
    return [Line(str(app.id), "app", "web.1", f"{number} {text}", time.time()) for number in range(count)]


def test_long_lines_do_not_take_the_room_of_other_apps(app: App) -> None:
    for _ in range(4):
        write(lines(app, 300, "x" * LINE_MAX))
    assert client().memory_usage(streams.app_log(app.id)) < MAX_BYTES * 1.2
    newest = recent(app, lines=100)
    assert len(newest) == 100
    assert newest[-1].text.startswith("299 "), "the newest stay"


def test_ordinary_lines_are_all_kept(app: App) -> None:
    for _ in range(5):
        write(lines(app, 1000, "GET / 200 in 3 ms, with all that is usual"))
    assert len(recent(app, lines=10_000, dyno="web")) == 5000


def test_a_log_may_give_way_when_memory_is_full(app: App) -> None:
    write(lines(app, 1, "hello"))
    assert client().ttl(streams.app_log(app.id)) > 0, "only keys with an expiry are ever evicted"
