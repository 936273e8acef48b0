"""What an answer to a health check says: its status, and whether a text is in its body."""

from __future__ import annotations

import asyncio

import pytest

from runtime.agent.answers import ANSWER_MOST, Answer
from runtime.agent.health import status_of

pytestmark = pytest.mark.unit
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def answered(data: bytes, text: bytes, *, ends: bool = True) -> bool:
    """As if `data` had come after the status line; without `ends` the connection stays open."""

    async def ask() -> bool:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        if ends:
            reader.feed_eof()
        async with asyncio.timeout(5):
            return await Answer(reader).contains(text)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"Server: x\r\n\r\n<p>All fine</p>", True),
        (b"\n\nAll fine", True),
        (b"X-Note: All fine\r\n\r\nno", False),
        (b"\r\nall fine", False),
        (b"", False),
        (b"Content-Length: 8\r\n\r\nAll fine", True),
        (b"Content-Length: 7\r\n\r\nAll fine", False),
        (CHUNKED + b"4\r\nAll \r\n4;x=y\r\nfine\r\n0\r\n\r\n", True),
        (CHUNKED + b"3\r\nAll\r\n0\r\n\r\n fine", False),
        (CHUNKED + b"ff\r\nAll fine", True),
    ],
)
def test_the_text_is_looked_for_in_the_body(data: bytes, found: bool) -> None:
    assert answered(data, b"All fine") is found


def test_only_the_first_64_kib_are_read() -> None:
    head, text = b"A: b\r\n\r\n", b"All fine"
    room = ANSWER_MOST - len(head) - len(text)
    assert answered(head + b"x" * room + text, text)
    assert not answered(head + b"x" * (room + 1) + text + b"x" * ANSWER_MOST, text, ends=False)
    assert not answered(b"A: b\r\n" * ANSWER_MOST, text, ends=False)
    assert not answered(CHUNKED + b"1\r\nx\r\n" * ANSWER_MOST, text, ends=False)


def test_an_answer_that_ends_by_its_length_is_not_waited_for() -> None:
    assert not answered(b"Content-Length: 2\r\n\r\nno", b"All fine", ends=False)
    assert not answered(CHUNKED + b"2\r\nno\r\n0\r\n\r\n", b"All fine", ends=False)


@pytest.mark.parametrize("data", [CHUNKED + b"two\r\n", b"Content-Length: two\r\n\r\n", b"x" * 2**17])
def test_what_is_no_http(data: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        answered(data, b"x")


@pytest.mark.parametrize(
    ("line", "status"),
    [(b"HTTP/1.0 200 OK", 200), (b"HTTP/1.1 " + b"9" * 5000, 0), (b"SSH-2.0", 0), (b"", 0)],
)
def test_the_status(line: bytes, status: int) -> None:
    assert status_of(line) == status
