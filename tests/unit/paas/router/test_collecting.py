"""Access lines wait in a bounded buffer and are counted; metrics forget apps that are gone."""

from __future__ import annotations

import asyncio
import json

import pytest

from paas.router.accesslog import access_line, read_line
from paas.router.collector import AccessBuffer, read_message
from paas.router.metrics import Metrics

pytestmark = pytest.mark.unit


def access(number):
    line = {
        **{"k": "k", "at": number, "app": "a", "host": "h", "method": "GET", "path": "/", "status": 200},
        **{"state": "----", "server": "s", "code": "-", "id": "i", "fwd": "f", "receive": 0, "wait": 0},
        **{"connect": 0, "active": 1, "bytes": 1, "tls": 0},
    }
    raw = read_line(json.dumps(line).encode(), "k")
    assert raw is not None
    return access_line(raw)


def numbers(batch):
    return [int(line.at * 1000) for line in batch.lines]


def test_a_full_buffer_drops_the_oldest_and_says_so():
    buffer = AccessBuffer(limit=3)
    for number in range(5):
        buffer.put(access(number))
    batch = buffer.take("r", 10)
    assert (numbers(batch), batch.lost, batch.router) == ([2, 3, 4], 2, "r")
    assert buffer.take("r", 10).lost == 0
    assert not buffer.filled.is_set()


def test_what_was_not_delivered_comes_first_again():
    buffer = AccessBuffer(limit=4)
    for number in range(3):
        buffer.put(access(number))
    batch = buffer.take("r", 3)
    buffer.put(access(3))
    buffer.put(access(4))
    buffer.give_back(batch)
    again = buffer.take("r", 10)
    assert (numbers(again), again.lost) == ([1, 2, 3, 4], 1)
    assert buffer.total_lost == 1


def read_all(data):
    async def read():
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        found = []
        while not reader.at_eof():
            found.append(await read_message(reader))
        return found

    return asyncio.run(read())


def test_octet_counted_messages():
    assert read_all(b"5 hello12 with newline") == [b"hello", b"with newline"]


@pytest.mark.parametrize("data", [b"x hello", b"-1 a", b"99999999 a"])
def test_other_streams_are_refused(data):
    with pytest.raises(ValueError):
        read_all(data)


def test_metrics():
    metrics = Metrics()
    metrics.count("id1", 200, 7)
    metrics.count("id1", 503, 40000)
    metrics.count("gone", 200, 1)
    metrics.count("", 404, 0)
    text = metrics.render({"id1": "one"}, {"paas_router_haproxy_up": 1})
    for line in (
        'paas_router_requests_total{app="one",status="2xx"} 1',
        'paas_router_requests_total{app="one",status="5xx"} 1',
        'paas_router_requests_total{app="-",status="4xx"} 1',
        'paas_router_request_duration_seconds_bucket{app="one",le="0.005"} 0',
        'paas_router_request_duration_seconds_bucket{app="one",le="0.01"} 1',
        'paas_router_request_duration_seconds_bucket{app="one",le="+Inf"} 2',
        'paas_router_request_duration_seconds_count{app="one"} 2',
        'paas_router_request_duration_seconds_sum{app="one"} 40.007',
        "paas_router_access_lines_lost_total 0",
        "paas_router_haproxy_up 1",
    ):
        assert line in text.splitlines()
    assert "gone" not in text
