"""Events are numbered without gaps or repeats, over restarts and torn writes, in bounded space."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runtime.agent.events import Events
from runtime.model import EventKind, ExitInfo, ExitReason

pytestmark = pytest.mark.unit


def numbers(events: Events, after: int = 0) -> list[int]:
    return [event.number for event in events.after(after).events]


def test_numbers_go_on_over_a_restart(tmp_path: Path) -> None:
    first = Events(tmp_path / "events")
    for _ in range(3):
        first.add(EventKind.STARTED, container="i1")
    second = Events(tmp_path / "events")
    assert second.add(EventKind.UP, container="i1").number == 4
    assert numbers(second, 2) == [3, 4]
    assert second.after(4).last == 4 and second.after(0).first == 1


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    Events(tmp_path / "events").add(EventKind.STARTED)
    with (tmp_path / "events").open("ab") as file:
        file.write(b'{"number": 2, "at"')
    again = Events(tmp_path / "events")
    assert again.add(EventKind.UP).number == 2
    assert numbers(Events(tmp_path / "events")) == [1, 2]


def test_space_is_bounded_and_the_newest_are_kept(tmp_path: Path) -> None:
    events = Events(tmp_path / "events", keep=50, half_bytes=2000)
    for _ in range(200):
        events.add(EventKind.STARTED, container="i1")
    assert numbers(events) == list(range(151, 201))
    assert events.after(0).first == 151
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 4000
    again = Events(tmp_path / "events", keep=50, half_bytes=2000)
    assert again.last == 200 and again.add(EventKind.UP).number == 201


def test_a_state_is_told_once_to_the_next_agent_and_again_after_a_change(tmp_path: Path) -> None:
    events = Events(tmp_path / "events")
    for kind in (EventKind.CREATED, EventKind.STARTED, EventKind.UP):
        events.add(kind, container="i1")
    events.add(EventKind.UNHEALTHY, container="i2")
    again = Events(tmp_path / "events")
    assert again.told_state("i1", EventKind.UP)
    assert not again.told_state("i1", EventKind.UNHEALTHY) and not again.told_state("i3", EventKind.UP)
    for kind in (EventKind.EXITED, EventKind.CREATED, EventKind.STARTED):
        again.add(kind, container="i1")
        assert not again.told_state("i1", EventKind.UP)


def test_output_of_a_process_stays_out(tmp_path: Path) -> None:
    exit = ExitInfo(reason=ExitReason.EXITED, code=1, tail=("password=x",))
    Events(tmp_path / "events").add(EventKind.EXITED, exit=exit)
    assert "password" not in (tmp_path / "events").read_text()


def test_a_reader_waits_for_news(tmp_path: Path) -> None:
    async def scenario() -> tuple[list[int], list[int]]:
        events = Events(tmp_path / "events")
        await events.wait(0, 0.01)
        before = numbers(events)
        asyncio.get_running_loop().call_later(0.01, events.add, EventKind.UP)
        await asyncio.wait_for(events.wait(0, 30), 5)
        await asyncio.wait_for(events.wait(0, 30), 5)
        return before, numbers(events)

    assert asyncio.run(scenario()) == ([], [1])
