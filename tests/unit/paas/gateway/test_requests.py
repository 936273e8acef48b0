"""First lines: which are requests, where they go, and what the server behind is told."""

from __future__ import annotations

import pytest

from paas.gateway.pipe_input import PipeInput, is_interrupt
from paas.gateway.requests import parse_request_line, parse_secret, rewrite_head

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("line", "for_git"),
    [
        (b"GET / HTTP/1.1\r\n", False),
        (b"GET /apps/x.git HTTP/1.1\r\n", False),
        (b"GET /shop.git/info/refs?service=git-receive-pack HTTP/1.1\r\n", True),
        (b"POST /shop.git/git-receive-pack HTTP/1.1\r\n", True),
        (b"GET /shop.git HTTP/1.0\n", True),
        (b"GET /shop.gitx/info HTTP/1.1\r\n", False),
        (b"GET /?a=/shop.git/ HTTP/1.1\r\n", False),
    ],
)
def test_requests(line: bytes, for_git: bool) -> None:
    request = parse_request_line(line)
    assert request is not None and request.for_git is for_git


@pytest.mark.parametrize(
    "line", [b"abc_-123\r\n", b"abc?status=1\r\n", b"get / HTTP/1.1\r\n", b"GET /\r\n", b"\r\n"]
)
def test_what_is_none(line: bytes) -> None:
    assert parse_request_line(line) is None


def test_only_the_gateway_says_where_a_request_came_from() -> None:
    lines = [
        b"GET / HTTP/1.1\r\n",
        b"Host: a\r\n",
        b"X-Forwarded-For: 6.6.6.6\r\n",
        b"x-forwarded-proto: http\r\n",
        b"Connection: keep-alive\r\n",
        b"Authorization: Basic eA==\r\n",
    ]
    assert rewrite_head(lines, "10.0.0.7").split(b"\r\n") == [
        b"GET / HTTP/1.1",
        b"Host: a",
        b"Authorization: Basic eA==",
        b"X-Forwarded-For: 10.0.0.7",
        b"X-Forwarded-Proto: https",
        b"Connection: close",
        b"",
        b"",
    ]


def test_a_secret_and_its_wishes() -> None:
    assert parse_secret(b"abc\r\n") == ("abc", frozenset({""}))
    assert parse_secret(b"abc?status=1&x\r\n") == ("abc", frozenset({"status=1", "x"}))


def test_a_control_d_ends_a_pipe_only_when_nothing_follows() -> None:
    state = PipeInput()
    assert state.feed(b"a\x04b") == b"a\x04b"
    assert (state.feed(b"c\x04"), state.held) == (b"c", True)
    assert state.feed(b"d") == b"\x04d"
    assert (state.feed(b"\x04"), state.held) == (b"", True)
    state.settle()
    assert state.feed(b"late") == b""
    assert is_interrupt(b"\x03") and not is_interrupt(b"a\x03")
