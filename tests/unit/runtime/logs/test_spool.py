"""Cursors over rotation and restarts, on real files in a temporary folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.logs.conmon import render_system
from runtime.logs.spool import Reader, Spool
from runtime.model import Stream

pytestmark = pytest.mark.unit


def write(path: Path, *texts: str) -> None:
    with path.open("ab") as file:
        for text in texts:
            file.write(f"2026-01-02T03:04:05.000000000Z stdout F {text}\n".encode())


def read_all(reader: Reader) -> list[str]:
    texts, more = [], True
    while more:
        lines, more = reader.read(max_bytes=200)
        texts += [line.text for line in lines]
    return texts


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "i1.log", max_bytes=100)


def rotate(spool: Spool) -> None:
    spool.set_aside()
    spool.path.touch()  # what the writer does when told to reopen
    spool.drop_old()


def test_nothing_is_there_yet(spool: Spool) -> None:
    assert Reader(spool).read() == ([], False)
    assert spool.end() == 0 and not spool.needs_rotation()


def test_a_reader_goes_on_where_it_was_while_the_file_grows(spool: Spool) -> None:
    reader = Reader(spool)
    write(spool.path, "a", "b")
    assert read_all(reader) == ["a", "b"]
    assert read_all(reader) == []
    write(spool.path, "c")
    assert read_all(reader) == ["c"]
    assert reader.cursor == spool.end()


def test_half_a_line_waits_for_its_end(spool: Spool) -> None:
    reader = Reader(spool)
    spool.path.write_bytes(b"2026-01-02T03:04:05.0Z stdout F ha")
    assert read_all(reader) == []
    with spool.path.open("ab") as file:
        file.write(b"lf\n")
    assert read_all(reader) == ["half"]


def test_cursors_are_the_same_before_and_after_a_rotation(spool: Spool) -> None:
    write(spool.path, "a", "b", "c")
    lines, _ = Reader(spool).read()
    assert spool.needs_rotation()
    rotate(spool)
    write(spool.path, "d")
    assert read_all(Reader(spool, lines[0].cursor)) == ["b", "c", "d"]
    assert read_all(Reader(Spool(spool.path), lines[2].cursor)) == ["d"]  # another agent, the same files


def test_what_is_rotated_away_unread_is_counted(spool: Spool) -> None:
    reader = Reader(spool)
    write(spool.path, "a", "b")
    lines, _ = reader.read()
    assert [line.text for line in lines] == ["a", "b"]
    write(spool.path, "c", "d", "e")
    rotate(spool)
    write(spool.path, "f")
    rotate(spool)  # a to e are gone now, c to e unread
    write(spool.path, "g")
    texts = read_all(reader)
    assert texts[0].startswith("Error L10 (output buffer overflow): 3 lines lost")
    assert texts[1:] == ["f", "g"]
    assert reader.take_lost() == 3 and reader.take_lost() == 0
    assert len(spool.segments()) == 2


def test_a_late_reader_is_told_that_the_beginning_is_gone(spool: Spool) -> None:
    for text in "abc":
        write(spool.path, text)
        rotate(spool)
    assert read_all(Reader(spool)) == ["Earlier output is no longer kept", "c"]


def test_the_agents_lines_stand_between_the_others(spool: Spool) -> None:
    spool.write_system("Starting")
    write(spool.path, "hello")
    spool.write_system("Exited", end=True)
    lines, _ = Reader(spool).read()
    assert [(line.stream, line.text) for line in lines] == [
        (Stream.SYSTEM, "Starting"),
        (Stream.STDOUT, "hello"),
        (Stream.SYSTEM, "Exited"),
    ]


def test_a_line_of_the_agent_during_a_rotation_is_not_lost(spool: Spool) -> None:
    write(spool.path, "a")
    spool.set_aside()
    spool.write_system("between")  # the writer has not opened its new file
    assert not spool.path.exists()
    spool.path.touch()
    spool.drop_old()
    write(spool.path, "b")
    assert read_all(Reader(spool)) == ["a", "between", "b"]


def test_an_unfinished_line_is_given_at_the_end(spool: Spool) -> None:
    spool.path.write_bytes(b"2026-01-02T03:04:05.0Z stdout P prompt> \n")
    reader = Reader(spool)
    assert read_all(reader) == []
    assert [line.text for line in reader.finish()] == ["prompt> "]


def test_removal_leaves_no_file(spool: Spool) -> None:
    write(spool.path, "a")
    rotate(spool)
    spool.remove()
    assert list(spool.path.parent.iterdir()) == []


def test_names_of_other_containers_are_not_touched(spool: Spool, tmp_path: Path) -> None:
    other = tmp_path / "i1.log.x"
    other.write_bytes(render_system("other", 0))
    write(spool.path, "a")
    assert read_all(Reader(spool)) == ["a"]
    spool.remove()
    assert other.exists()


def test_a_flood_is_passed_over_in_whole_lines(spool: Spool) -> None:
    write(spool.path, *("x" * 20 for _ in range(9)), "last")
    reader = Reader(spool)
    flood = reader.flood(1.0, max_bytes=200)
    assert flood is not None and flood.lines == 3
    reader.pass_over(flood)
    assert read_all(reader) == ["x" * 20] * 6 + ["last"]
    assert reader.flood(1.0, max_bytes=200) is None  # less than a chunk is left
