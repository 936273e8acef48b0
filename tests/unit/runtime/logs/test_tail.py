"""The last lines of a run, as they go into its exit."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.logs.hub import TAIL_LINES, LogHub
from runtime.model import ContainerSpec, Rootfs

pytestmark = pytest.mark.unit


async def _never(_: str) -> None:
    raise AssertionError("nothing is reopened")


def spec() -> ContainerSpec:
    return ContainerSpec(id="one", owner="app", name="web.1", rootfs=Rootfs(host=True), argv=("x",))


def tail_of(folder: Path, content: str) -> tuple[str, ...]:
    import asyncio

    (folder / "one.log").write_text(content)

    async def read() -> tuple[str, ...]:
        hub = LogHub(lambda name: folder / f"{name}.log", _never)
        hub.open(spec())
        try:
            return hub.ends("one")[1]
        finally:
            hub.close()

    return asyncio.run(read())


def line(text: str, stream: str = "stderr") -> str:
    return f"2026-01-01T00:00:00.000000000+00:00 {stream} F {text}\n"


def test_only_the_newest_run(tmp_path: Path) -> None:
    content = line("old") + line("Starting process with command `x`", "system") + line("new") + line("last")
    assert tail_of(tmp_path, content) == ("new", "last")


def test_no_more_than_a_few_lines(tmp_path: Path) -> None:
    content = "".join(line(f"line {number} {'x' * 200}") for number in range(1000))
    found = tail_of(tmp_path, content)
    assert len(found) == TAIL_LINES
    assert found[-1].startswith("line 999")


def test_nothing_written(tmp_path: Path) -> None:
    assert tail_of(tmp_path, "") == ()


def test_the_first_lines_outlive_rotation_and_the_agent(tmp_path: Path) -> None:
    import asyncio

    log = tmp_path / "one.log"

    async def flood() -> tuple[tuple[str, ...], tuple[str, ...]]:
        async def reopen(_: str) -> None:
            log.touch()

        for batch in range(6):  # a new hub each time: the agent was restarted
            hub = LogHub(lambda name: tmp_path / f"{name}.log", reopen, max_bytes=20_000)
            source = hub.open(spec())
            if not batch:
                hub.begin_run("one")
            with log.open("a") as file:
                file.writelines(line(f"batch {batch} line {number} {'x' * 80}") for number in range(200))
            hub.system("one", "a word of the agent")
            while source.rotating:
                await source.rotating
            found = hub.ends("one")
            hub.close()
        assert not any("batch 0" in file.read_text() for file in tmp_path.glob("one.log.[0-9]*"))
        return found

    head, tail = asyncio.run(flood())
    assert [text.rsplit(" ", 1)[0] for text in head] == [f"batch 0 line {n}" for n in range(10)]
    assert [text.rsplit(" ", 1)[0] for text in tail] == [f"batch 5 line {n}" for n in range(190, 200)]


def test_a_short_run_is_not_told_twice(tmp_path: Path) -> None:
    import asyncio

    async def read() -> tuple[tuple[str, ...], tuple[str, ...]]:
        hub = LogHub(lambda name: tmp_path / f"{name}.log", _never)
        hub.open(spec())
        hub.begin_run("one")
        (tmp_path / "one.log").write_text(line("only"))
        try:
            return hub.ends("one")
        finally:
            hub.close()

    assert asyncio.run(read()) == ((), ("only",))
