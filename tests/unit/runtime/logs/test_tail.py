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
            return hub.tail("one")
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
