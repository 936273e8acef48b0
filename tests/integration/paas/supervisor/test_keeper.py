"""A real child process: readiness, death, back-off, the last words of one that fails, and its end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from paas.supervisor import proctable
from paas.supervisor.keeper import Keeper, StartFailed
from paas.supervisor.layout import Layout
from paas.supervisor.probes import Says
from paas.supervisor.processes import Ending, Process

pytestmark = pytest.mark.integration
STEADY = "import time\nprint('up', flush=True)\ntime.sleep(60)"


class Bench:
    """A keeper on a program text, what it said, and a bounded wait."""

    def __init__(self, home: Path, program: str, *, start_deadline: float = 10, stop_deadline: float = 5):
        self.said: list[str] = []
        self.layout = Layout(home)
        self.layout.make_folders()
        process = Process(
            name="sample",
            argv=(sys.executable, "-c", program),
            probe=Says("up"),
            ending=Ending(stage=1, deadline=stop_deadline),
            start_deadline=start_deadline,
        )
        self.keeper = Keeper(process, os.environ, self.layout, self.said.append, lambda: None)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 (a process table has no event to wait for)
                await asyncio.sleep(0.02)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_process_that_is_killed_is_started_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, STEADY)
        await bench.keeper.start()
        first = bench.keeper.pid
        os.kill(first, signal.SIGKILL)
        await bench.until(lambda: bench.keeper.state == "running" and bench.keeper.pid not in {None, first})
        assert bench.keeper.restarts == 1
        assert "sample ended by SIGKILL; it is started again in 0.2 s." in bench.said
        await bench.keeper.stop()
        assert bench.keeper.pid is None

    run(scenario)


def test_a_start_that_the_machine_refuses_is_tried_again(tmp_path: Path) -> None:
    """A disk that is full for a minute must not end the supervision for good."""

    async def scenario() -> None:
        bench = Bench(tmp_path, STEADY)
        await bench.keeper.start()
        log = bench.layout.log("sample")
        log.unlink()
        log.mkdir()  # nobody, not even root, can open it for writing
        os.kill(bench.keeper.pid, signal.SIGKILL)
        await bench.until(lambda: sum("could not be started" in line for line in bench.said) >= 2)
        log.rmdir()
        await bench.until(lambda: bench.keeper.state == "running")
        await bench.keeper.stop()

    run(scenario)


def test_children_of_a_killed_process_do_not_outlive_it(tmp_path: Path) -> None:
    child_file = tmp_path / "child"
    program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(child_file)!r}, 'w').write(str(child.pid))\n" + STEADY
    )

    async def scenario() -> None:
        bench = Bench(tmp_path / "home", program)
        await bench.keeper.start()
        first, child = bench.keeper.pid, int(child_file.read_text())
        os.kill(first, signal.SIGKILL)
        await bench.until(lambda: proctable.started(child) is None)
        await bench.until(lambda: bench.keeper.state == "running")
        child = int(child_file.read_text())
        await bench.keeper.stop()
        await bench.until(lambda: proctable.started(child) is None)

    run(scenario)


def test_a_process_that_cannot_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, "import sys\nsys.exit('PAAS_API_PORT must be a number')")
        with pytest.raises(StartFailed) as failure:
            await bench.keeper.start()
        assert "sample ended with exit status 1" in str(failure.value)
        assert "PAAS_API_PORT must be a number" in str(failure.value)
        await bench.keeper.stop()

    run(scenario)


def test_a_process_that_never_gets_ready_is_ended_at_its_deadline(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, "import time\ntime.sleep(60)", start_deadline=0.5)
        with pytest.raises(StartFailed, match="was not ready within"):
            await bench.keeper.start()
        assert bench.keeper.pid is None

    run(scenario)


def test_a_process_that_ignores_sigterm_is_killed_after_its_deadline(tmp_path: Path) -> None:
    program = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + STEADY

    async def scenario() -> None:
        bench = Bench(tmp_path, program, stop_deadline=0.5)
        await bench.keeper.start()
        pid = bench.keeper.pid
        await bench.keeper.stop()
        assert proctable.started(pid) is None
        assert any("did not end within" in line for line in bench.said)

    run(scenario)


def test_what_a_killed_supervisor_left_is_ended_by_the_next(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, STEADY)
        await bench.keeper.start()
        entry = bench.keeper.entry()
        proctable.record(bench.layout, {"sample": entry})
        ended = await asyncio.to_thread(proctable.end_leftovers, proctable.leftovers(bench.layout))
        assert ended == ["sample"]
        assert proctable.started(entry.pid) != entry.started
        await bench.keeper.stop()

    run(scenario)


def test_a_process_id_that_was_given_to_another_process_is_left_alone() -> None:
    entry = proctable.Entry(pid=os.getpid(), started=1, outlived=False)
    assert proctable.end_leftovers({"old": entry}) == []
