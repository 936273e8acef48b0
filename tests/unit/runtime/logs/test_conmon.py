"""conmon's format: pieces into lines, with cursors that resume."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.logs.conmon import SPLIT_MARK, Flood, Joiner, count_flood, parse, render_system
from runtime.model import LogLine, Stream

pytestmark = pytest.mark.unit
STAMP = b"2026-01-02T03:04:05.123456789+00:00"


def line(text: bytes, stream: bytes = b"stdout", tag: bytes = b"F") -> bytes:
    return b" ".join((STAMP, stream, tag, text)) + b"\n"


def joined(data: bytes, start: int = 0) -> list[LogLine]:
    pieces, consumed = parse(data, start)
    joiner = Joiner()
    lines = [one for piece in pieces for one in joiner.feed(piece)]
    assert consumed == data.rfind(b"\n") + 1
    return lines


def texts(data: bytes) -> list[str]:
    return [one.text for one in joined(data)]


def test_a_line() -> None:
    data = line(b"hello  world ")
    assert joined(data, 100) == [
        LogLine(cursor=100 + len(data), at=1767323045.123456, stream=Stream.STDOUT, text="hello  world ")
    ]


def test_an_empty_line_and_one_with_a_carriage_return() -> None:
    assert texts(line(b"") + line(b"x\r")) == ["", "x\r"]


def test_pieces_are_joined_per_stream() -> None:
    data = line(b"a", tag=b"P") + line(b"oops", b"stderr") + line(b"b", tag=b"P") + line(b"c")
    assert [(one.stream, one.text) for one in joined(data)] == [
        (Stream.STDERR, "oops"),
        (Stream.STDOUT, "abc"),
    ]


def test_a_character_cut_by_a_piece_is_whole_again() -> None:
    data = "…é".encode()
    assert texts(line(data[:2], tag=b"P") + line(data[2:])) == ["…é"]


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert texts(line(b"\xff\x00ok")) == ["\ufffd\x00ok"]


def test_a_line_that_never_ends_is_split_with_a_mark() -> None:
    piece = b"x" * 8192
    data = b"".join(line(piece, tag=b"P") for _ in range(10)) + line(b"end")
    *parts, last = texts(data)
    assert all(part.endswith(SPLIT_MARK) and len(part) <= 10_000 for part in parts)
    assert "".join(part.removesuffix(SPLIT_MARK) for part in parts) + last == "x" * 10 * 8192 + "end"


def test_the_end_of_a_run_ends_an_unfinished_line() -> None:
    data = line(b"Password: ", tag=b"P") + render_system("Process exited with status 1", 0, end=True)
    assert texts(data) == ["Password: ", "Process exited with status 1"]


def test_other_words_of_the_agent_do_not() -> None:
    data = line(b"half", tag=b"P") + render_system("State changed", 0) + line(b" done")
    assert texts(data) == ["State changed", "half done"]


@pytest.mark.parametrize(
    "torn", [b"garbage\n", b"\n", b"2026 stdout\n", b"x stdout F y\n", STAMP + b" std F y\n"]
)
def test_a_torn_line_is_passed_over(torn: bytes) -> None:
    assert texts(torn + line(b"next")) == ["next"]


def test_the_agents_words_stay_on_one_line() -> None:
    assert texts(render_system("a\nb\r\nc", 0)) == ["a b c"]


@given(
    st.lists(st.tuples(st.sampled_from([b"P", b"F"]), st.binary(max_size=20)), max_size=20),
    st.integers(0, 500),
)
def test_any_cut_of_the_bytes_gives_the_same_lines(items: list[tuple[bytes, bytes]], cut: int) -> None:
    data = b"".join(line(text.replace(b"\n", b""), tag=tag) for tag, text in items)
    joiner, lines, position = Joiner(), [], 0
    for end in (min(cut, len(data)), len(data)):
        pieces, consumed = parse(data[position:end], position)
        position += consumed
        lines += [one for piece in pieces for one in joiner.feed(piece)]
    assert lines == joined(data)
    assert [one.cursor for one in lines] == sorted({one.cursor for one in lines})


def later(text: bytes, second: int) -> bytes:
    return line(text).replace(b":05.", b":%02d." % second)


def test_a_flood_is_counted_without_being_read() -> None:
    data = line(b"a") + line(b"piece", tag=b"P") + line(b"end of it") + later(b"b", 6)
    assert count_flood(data + b"2026-01-02T03:04:06 torn", 2.0) == Flood(3, 1767323046.123456, len(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no line\n",
        line(b"a") + later(b"slow enough", 9),
        line(b"a") * 9 + render_system("Stopping", 1767323045.0) + line(b"b"),
    ],
)
def test_what_is_no_flood_is_read(data: bytes) -> None:
    assert count_flood(data, 2.0) is None
