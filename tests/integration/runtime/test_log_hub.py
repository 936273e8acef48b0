"""Following and rotating a file that another process writes, with inotify."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from runtime.logs.hub import LogHub
from runtime.model import ContainerSpec, Rootfs

pytestmark = pytest.mark.integration
SPEC = ContainerSpec(id="i1", owner="a", name="web.1", rootfs=Rootfs(host=True), argv=("x",))


class Writer:
    """Writes like conmon: goes on in the file it has open until told to open anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reopens = 0
        self.file = self._open()

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def reopen(self, _: str) -> None:
        os.close(self.file)
        self.file = self._open()
        self.reopens += 1

    def write(self, text: str) -> None:
        os.write(self.file, f"2026-01-02T03:04:05.000000000Z stdout F {text}\n".encode())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - another thread of events, files too
            await asyncio.sleep(0.005)


def with_hub(folder: Path, story: Callable[[LogHub, Writer], Awaitable[None]], max_bytes: int = 1000) -> None:
    async def run() -> None:
        writer = Writer(folder / "i1.log")
        hub = LogHub(lambda id: folder / f"{id}.log", writer.reopen, max_bytes)
        try:
            await story(hub, writer)
        finally:
            hub.close()
            os.close(writer.file)

    asyncio.run(run())


@pytest.mark.alone
def test_a_follower_sees_a_line_within_milliseconds(tmp_path: Path) -> None:
    async def story(hub: LogHub, writer: Writer) -> None:
        hub.open(SPEC)
        feed = hub.follow("i1", 0, follow=True)
        for number in range(3):
            await asyncio.sleep(0.05)
            waiting = asyncio.ensure_future(anext(feed))
            await asyncio.sleep(0.01)
            began = time.monotonic()
            writer.write(f"line {number}")
            assert [line.text for line in await waiting] == [f"line {number}"]
            assert time.monotonic() - began < 0.05
        hub.end("i1")
        assert [lines async for lines in feed] == [[]]

    with_hub(tmp_path, story)


def test_no_line_is_lost_or_repeated_over_rotations(tmp_path: Path) -> None:
    async def story(hub: LogHub, writer: Writer) -> None:
        hub.open(SPEC)
        seen: list[str] = []

        async def collect() -> None:
            async for lines in hub.follow("i1", 0, follow=True):
                seen.extend(line.text for line in lines)

        collecting = asyncio.create_task(collect())
        for number in range(300):
            writer.write(str(number))
            if number % 5 == 0:
                await until(lambda number=number: len(seen) > number - 5)
        await until(lambda: len(seen) == 300)
        hub.end("i1")
        await collecting
        assert seen == [str(number) for number in range(300)]
        assert writer.reopens >= 5
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 6000

    with_hub(tmp_path, story)


def test_a_rotation_cut_in_half_by_a_crash_is_finished(tmp_path: Path) -> None:
    async def story(hub: LogHub, writer: Writer) -> None:
        writer.write("before")
        writer.path.rename(tmp_path / "i1.log.0")  # here the agent died
        writer.write("meanwhile")
        hub.open(SPEC)
        await until(lambda: writer.reopens)
        await until(writer.path.exists)
        writer.write("after")
        lines = [line.text async for some in hub.follow("i1", 0, follow=False) for line in some]
        assert lines == ["before", "meanwhile", "after"]

    with_hub(tmp_path, story)


def test_output_of_nobody_is_swept_once_old(tmp_path: Path) -> None:
    async def story(hub: LogHub, writer: Writer) -> None:
        hub.open(SPEC)
        for name, age in (("old.log", 7200), ("old.log.0", 7200), ("fresh.log", 0), ("i1.log", 7200)):
            (tmp_path / name).touch()
            os.utime(tmp_path / name, (time.time() - age,) * 2)
        hub.sweep(time.time())
        assert sorted(file.name for file in tmp_path.iterdir()) == ["fresh.log", "i1.log"]

    with_hub(tmp_path, story)
