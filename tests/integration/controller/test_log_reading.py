"""Reading an app's log: the newest that match, and following from where one stopped."""

from __future__ import annotations

import threading
import time
from itertools import islice
from typing import Any

import pytest

from paas.controller.models import App
from paas.controller.redis_connection import client as redis_client
from paas.controller.redis_connection import forget_connections
from paas.controller.selectors.logs import LogEntry, follow, recent
from paas.controller.services.apps import create_app
from paas.controller.services.logs import Line, write
from paas.errors import Unavailable

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def nothing_yet(app: App) -> None:
    redis_client().flushall()


def say(app: App, *texts: str, dyno: str = "web.1", source: str = "app") -> None:
    write(Line(str(app.id), source, dyno, text, 1_700_000_000 + number) for number, text in enumerate(texts))


def texts(entries: list[LogEntry]) -> list[str]:
    return [one.text for one in entries]


def test_the_newest_come_oldest_first(app: App) -> None:
    say(app, *[str(number) for number in range(1500)])
    assert texts(recent(app, lines=3)) == ["1497", "1498", "1499"]
    assert len(recent(app, lines=1400)) == 1400
    assert recent(app, lines=0) == []
    assert len(recent(app)) == 100


def test_filters(app: App) -> None:
    say(app, "a", dyno="web.1")
    say(app, "b", dyno="web.2")
    say(app, "c", dyno="worker.1")
    say(app, "d", dyno="web.1", source="heroku")
    say(app, "e", dyno="router", source="heroku")
    assert texts(recent(app, dyno="web")) == ["a", "b", "d"]
    assert texts(recent(app, dyno="web.1")) == ["a", "d"]
    assert texts(recent(app, source="heroku")) == ["d", "e"]
    assert texts(recent(app, source="app", dyno="web.1")) == ["a"]
    assert texts(recent(app, dyno="we")) == texts(recent(app, source="nobody")) == []


def test_a_rare_line_is_found_behind_many(app: App) -> None:
    say(app, "needle", dyno="worker.1")
    say(app, *["hay"] * 5000)
    assert texts(recent(app, dyno="worker")) == ["needle"]


def test_nothing_is_not_an_error(app: App) -> None:
    assert recent(app) == []
    stream = follow(app, after="0", heartbeat=0.1)
    assert next(stream) is None


def test_following_resumes_after_the_last_one_seen(app: App) -> None:
    say(app, "a", "b", "c")
    first = list(islice(follow(app, after="0"), 2))
    say(app, "d")
    assert texts(list(islice(follow(app, after=first[-1].id), 2))) == ["c", "d"]


@pytest.mark.parametrize(
    "after", ["$", "", "no id", "5", "9" * 25 + "-0", "1-" + "9" * 25, "²-0", "0-0; DEL"]
)
def test_following_from_now(app: App, after: str) -> None:
    say(app, "old")
    stream = follow(app, after=after, heartbeat=0.1)
    assert next(stream) is None
    say(app, "new")
    assert texts([next(stream)]) == ["new"]  # type: ignore[list-item]


@pytest.mark.alone
def test_lines_arrive_as_they_are_written(app: App) -> None:
    stream = follow(app, after="$", heartbeat=5)
    writer = threading.Timer(0.2, lambda: say(app, "hello"))
    writer.start()
    began = time.monotonic()
    assert texts([next(stream)]) == ["hello"]  # type: ignore[list-item]
    assert time.monotonic() - began < 2
    writer.join()


def test_a_quiet_filter_still_shows_signs_of_life(app: App) -> None:
    stream = follow(app, after="$", dyno="worker", heartbeat=0.2)
    over = threading.Event()

    def chatter() -> None:
        while not over.wait(0.02):
            say(app, "not for you")

    thread = threading.Thread(target=chatter)
    thread.start()
    try:
        assert [next(stream), next(stream)] == [None, None]
    finally:
        over.set()
        thread.join()


def test_apps_do_not_see_each_others_lines(app: App, user: Any) -> None:
    other = create_app(user, "other")
    redis_client().flushall()
    say(app, "mine")
    assert recent(other) == []


def test_without_redis_it_is_said_so(app: App, settings: Any) -> None:
    settings.REDIS_URL = f"unix://{settings.PAAS.home}/run/nobody.sock"
    forget_connections()
    with pytest.raises(Unavailable, match="try again"):
        recent(app)
    with pytest.raises(Unavailable):
        next(follow(app, after="$"))
