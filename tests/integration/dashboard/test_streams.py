"""Logs and build output as server-sent events, against a real Redis and without one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest
from django.http import StreamingHttpResponse
from django.test import Client

from paas.controller import redis_connection
from paas.controller.dashboard import events
from paas.controller.models import App, BuildLog
from paas.controller.services import build_output, logs
from tests.e2e.dashboard import seed

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

SHOP = "/dashboard/apps/shop"


@pytest.fixture
def redis(redis_server: str) -> Iterator[None]:
    redis_connection.forget_connections()
    redis_connection.client().flushall()
    yield
    redis_connection.forget_connections()


@pytest.fixture
def no_redis(settings: Any) -> Iterator[None]:
    settings.REDIS_URL = f"unix://{settings.PAAS.home}/run/nobody-listens.sock"
    redis_connection.forget_connections()
    yield
    redis_connection.forget_connections()


def write(app: App, *lines: tuple[str, str, str]) -> None:
    logs.write(logs.Line(str(app.id), source, dyno, text, time.time()) for source, dyno, text in lines)


def frames(response: object, count: int) -> list[dict[str, str]]:
    """Read `count` frames of a stream that would go on, without the comments that keep it alive."""
    assert isinstance(response, StreamingHttpResponse)
    assert response["Content-Type"] == "text/event-stream"
    texts = (part.decode() for part in response.streaming_content)
    read = [parse(text) for text in islice((text for text in texts if not text.startswith(":")), count)]
    response.close()
    return read


def parse(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.strip().split("\n"))


def words(read: list[dict[str, str]]) -> list[str]:
    return [json.loads(frame["data"])["text"] for frame in read]


def test_lines_arrive_and_resume_after_the_last_one_seen(client: Client, shop: App, redis: None) -> None:
    write(shop, ("app", "web.1", "one"), ("app", "web.1", 'two <b> "\u2028\n three'))
    first = frames(client.get(f"{SHOP}/logs/stream"), 2)
    assert words(first) == ["one", 'two <b> "\u2028\n three']
    write(shop, ("heroku", "router", "four"))
    again = client.get(f"{SHOP}/logs/stream", headers={"Last-Event-ID": first[-1]["id"]})
    assert words(frames(again, 1)) == ["four"]
    by_hand = client.get(f"{SHOP}/logs/stream", {"after": first[0]["id"]})
    assert words(frames(by_hand, 2)) == ['two <b> "\u2028\n three', "four"]


def test_a_reader_that_waits_gets_new_lines_and_heartbeats(
    client: Client, shop: App, redis: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert events.HEARTBEAT < 15
    monkeypatch.setattr(events, "HEARTBEAT", 0.1)
    response = client.get(f"{SHOP}/logs/stream")
    stream = iter(response.streaming_content)  # type: ignore[attr-defined]
    assert [next(stream), next(stream), next(stream)] == [events.KEEP_ALIVE.encode()] * 3
    write(shop, ("app", "web.1", "late"))
    assert b"late" in next(part for part in stream if not part.startswith(b":"))
    response.close()


def test_filters(client: Client, shop: App, redis: None) -> None:
    write(
        shop,
        ("app", "web.1", "a"),
        ("heroku", "router", "b"),
        ("app", "worker.1", "c"),
        ("app", "web.2", "d"),
    )
    assert words(frames(client.get(f"{SHOP}/logs/stream", {"process": "web"}), 2)) == ["a", "d"]
    assert words(frames(client.get(f"{SHOP}/logs/stream", {"source": "heroku"}), 1)) == ["b"]
    assert words(frames(client.get(f"{SHOP}/logs/stream", {"process": "worker.1", "source": "app"}), 1)) == [
        "c"
    ]
    assert client.get(f"{SHOP}/logs/stream", {"source": "x"}).status_code == 422
    assert client.get(f"{SHOP}/logs/stream", {"process": "a b"}).status_code == 422


def test_pages_work_without_redis_and_logs_say_so(client: Client, shop: App, no_redis: None) -> None:
    for path in ("/", SHOP, f"{SHOP}/live", f"{SHOP}/activity", f"{SHOP}/config", f"{SHOP}/settings"):
        assert client.get(path).status_code == 200
    (frame,) = frames(client.get(f"{SHOP}/logs/stream"), 2)
    assert frame["event"] == "problem"
    assert "cannot be read at the moment" in frame["data"]
    assert int(frame["retry"]) > 0


def opened(client: Client) -> Any:
    """A log stream that has begun."""
    response = client.get(f"{SHOP}/logs/stream")
    response.parts = iter(response.streaming_content)  # type: ignore[attr-defined]
    next(response.parts)
    return response


def test_a_full_house_says_so_and_keeps_threads_for_pages(client: Client, shop: App, redis: None) -> None:
    write(shop, ("app", "web.1", "one"))
    somebody = [events.seats.take(object()) for _ in range(events.seats.free)]
    (frame,) = frames(client.get(f"{SHOP}/logs/stream"), 2)
    assert (frame["event"], frame["retry"]) == ("problem", "5000")
    events.seats.leave(somebody[0])
    assert words(frames(client.get(f"{SHOP}/logs/stream"), 1)) == ["one"]
    assert events.seats.free == 1
    for seat in somebody:
        events.seats.leave(seat)


def test_the_newest_streams_of_a_person_win(client: Client, shop: App, redis: None) -> None:
    write(shop, ("app", "web.1", "one"))
    streams = [opened(client) for _ in range(events.seats.each + 1)]
    assert events.seats.total - events.seats.free == events.seats.each
    ended = parse([part.decode() for part in streams[0].parts][-1])
    assert (ended["event"], ended["retry"]) == ("problem", "30000")
    assert b"one" in next(streams[-1].parts)
    for response in streams:
        response.close()
    assert events.seats.free == events.seats.total


def test_the_output_of_a_build_that_is_over(client: Client, shop: App, no_redis: None) -> None:
    build = seed.make_build(shop, "failed", timedelta(minutes=1), "5ad1f00d", "Next")
    BuildLog.objects.create(build=build, text="-----> Building\n\n !     No")
    path = f"{SHOP}/builds/{build.id}/stream"
    read = frames(client.get(path), 9)
    assert [json.loads(frame["data"]) for frame in read] == ["-----> Building", "", " !     No", ""]
    assert read[-1]["event"] == "end"
    rest = frames(client.get(path, headers={"Last-Event-ID": "2"}), 9)
    assert [json.loads(frame["data"]) for frame in rest] == [" !     No", ""]


def test_the_output_of_a_build_that_runs(client: Client, shop: App, redis: None) -> None:
    build = seed.make_build(shop, "building", timedelta(0), "5ad1f00d", "Next")
    build_output.write(build.id, "-----> Building", "       still")
    stream = client.get(f"{SHOP}/builds/{build.id}/stream")
    texts = (part.decode() for part in stream.streaming_content)  # type: ignore[attr-defined]
    lines = (parse(text) for text in texts if not text.startswith(":"))
    assert [json.loads(next(lines)["data"]) for _ in range(2)] == ["-----> Building", "       still"]
    build_output.write(build.id, "       done")
    build_output.finish(build.id, ok=True)
    assert [(one["id"], one.get("event", "")) for one in lines] == [("3", ""), ("3", "end")]
