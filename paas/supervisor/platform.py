"""The whole platform on one box: started in the order of readiness, kept running, stopped in stages.

In: the configuration and what the operator asked for.  Out: an exit code, and progress in words on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from paas.configuration import Configuration
from paas.supervisor import announce, control, logs, preflight, proctable, subnets
from paas.supervisor.keeper import Keeper, StartFailed
from paas.supervisor.layout import SOURCE, Layout, read_document, source_version
from paas.supervisor.processes import Machine, Process, base_environment, needs_redis, python_processes, redis

ROTATION = 30.0  # seconds between two looks at the size of the logs
STEP_GRACE = 10.0  # seconds for a step (stack, sample) to end after SIGTERM


@dataclass(frozen=True)
class Wishes:
    """What the operator asked `up` for."""

    sample: bool = True
    ready_file: Path | None = None


class Platform:
    """Every process of one installation. One per data folder: the caller holds the lock."""

    def __init__(self, settings: Configuration, layout: Layout, say: Callable[[str], None]):
        self._settings = settings
        self._layout = layout
        self._say = say
        self._environ = base_environment(os.environ, layout)
        self._keepers: dict[str, Keeper] = {}
        self._stop = asyncio.Event()
        self._stopping = False

    async def run(self, wishes: Wishes) -> int:
        """Start everything, stay until asked to stop, stop everything. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        door = await control.serve(self._layout.control_socket, self._answer)
        rotation = asyncio.create_task(self._rotate_logs())
        try:
            return await self._until_stopped(asyncio.create_task(self._start(wishes)))
        finally:
            rotation.cancel()
            if wishes.ready_file is not None:
                wishes.ready_file.unlink(missing_ok=True)
            await self._stop_all()
            door.close()
            self._layout.control_socket.unlink(missing_ok=True)

    async def remove_leftovers(self) -> None:
        """Take down what outlives a killed supervisor: containers through the agent, HAProxy through the router."""
        door = await control.serve(self._layout.control_socket, self._answer)
        try:
            for process in python_processes(
                self._settings, self._layout, this_machine(self._settings, self._layout)
            ):
                if process.outlived:
                    await self._launch(process)
        finally:
            await self._stop_all()
            door.close()
            self._layout.control_socket.unlink(missing_ok=True)

    async def _until_stopped(self, starting: asyncio.Task[None]) -> int:
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({starting, stop}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                await stop
            return 0
        except (StartFailed, subnets.NoSubnet) as error:
            self._say(str(error))
            return 1
        finally:
            for task in (starting, stop):
                task.cancel()
            await asyncio.gather(starting, stop, return_exceptions=True)

    async def _start(self, wishes: Wishes) -> None:
        began = time.monotonic()
        if needs_redis():
            await self._launch(redis(self._layout))
        await self._step("setup", (sys.executable, "manage.py", "setup_platform"), os.environ)
        web, *others = python_processes(
            self._settings, self._layout, this_machine(self._settings, self._layout)
        )
        await self._launch(web)
        await self._together(others)
        opening = (sys.executable, "-m", "paas.supervisor.opening", *(["--sample"] if wishes.sample else []))
        await self._step("opening", opening, {}, fatal=False)
        self._say(f"All up after {time.monotonic() - began:.1f} s.")
        credentials = read_document(self._layout.credentials)
        announce.show(self._settings, credentials, self._say)
        if wishes.ready_file is not None:
            announce.write(wishes.ready_file, self._settings, credentials)

    async def _together(self, processes: list[Process]) -> None:
        """Start processes at once. The first that fails fails the whole, after the others came to a rest."""
        results = await asyncio.gather(*map(self._launch, processes), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _launch(self, process: Process) -> None:
        began = time.monotonic()
        keeper = Keeper(process, self._environ, self._layout, self._say, self._record)
        self._keepers[process.name] = keeper
        await keeper.start()
        self._say(f"{process.name} is ready ({time.monotonic() - began:.1f} s).")

    async def _step(
        self, name: str, argv: tuple[str, ...], extra: Mapping[str, str], *, fatal: bool = True
    ) -> None:
        """Run a program that ends by itself. Its output is the operator's to read."""
        child = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "TERM", "--", *argv),
            stdin=asyncio.subprocess.DEVNULL,
            cwd=SOURCE,
            env={**extra, **self._environ},
            start_new_session=True,
        )
        try:
            code = await child.wait()
        except asyncio.CancelledError:
            await _end_group(child)
            raise
        if code and fatal:
            raise StartFailed(
                f"The step '{name}' failed; what it wrote above says why. Mend it and start again."
            )

    async def _stop_all(self) -> None:
        self._stopping = True
        stages = sorted(self._keepers.values(), key=lambda keeper: keeper.process.ending.stage)
        if stages:
            self._say("Stopping …")
        for _, stage in groupby(stages, key=lambda keeper: keeper.process.ending.stage):
            await asyncio.gather(*(keeper.stop() for keeper in stage))
        self._keepers.clear()
        self._record()
        subnets.release(self._layout)
        if stages:
            self._say(f"Stopped. The data stays in {self._layout.home}.")

    def _record(self) -> None:
        entries = {name: keeper.entry() for name, keeper in self._keepers.items()}
        running = {name: entry for name, entry in entries.items() if entry is not None}
        try:
            proctable.record(self._layout, running)
        except OSError as error:  # a full disk must not end the supervision; the next change writes it again
            self._say(f"The table of processes cannot be written: {error}.")

    async def _rotate_logs(self) -> None:
        while True:
            await asyncio.sleep(ROTATION)
            for log in self._layout.logs.glob("*.log"):
                with contextlib.suppress(OSError):  # a full disk must not end the supervision
                    logs.rotate(log)

    async def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        commands: dict[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = {
            "status": self._status,
            "down": self._down,
            "restart": self._restart,
        }
        command = commands.get(str(question.get("do")))
        return (
            await command(question)
            if command
            else {"error": f"Unknown command; known: {', '.join(commands)}."}
        )

    async def _status(self, _: dict[str, Any]) -> dict[str, Any]:
        rows = {
            name: {"state": keeper.state, "pid": keeper.pid, "restarts": keeper.restarts}
            for name, keeper in self._keepers.items()
        }
        return {"pid": os.getpid(), "processes": rows}

    async def _down(self, _: dict[str, Any]) -> dict[str, Any]:
        self._stop.set()
        return {"stopping": True}

    async def _restart(self, question: dict[str, Any]) -> dict[str, Any]:
        """End one process by signal, so that what outlives it (containers, HAProxy) stays, and start it again."""
        keeper = self._keepers.get(str(question.get("name")))
        if keeper is None:
            return {"error": f"There is no such process; running: {', '.join(self._keepers)}."}
        if self._stopping:
            return {"error": "The platform is stopping."}
        try:
            await keeper.restart()
        except StartFailed as error:
            return {"error": str(error)}
        return {"restarted": keeper.process.name, "pid": keeper.pid}


async def _end_group(child: asyncio.subprocess.Process) -> None:
    """End a step with all its children (mmdebstrap, git)."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), STEP_GRACE)
            return


def problems(settings: Configuration) -> list[str]:
    """Return why the platform cannot start on this machine, in words."""
    return preflight.machine_problems(settings) or preflight.port_problems(settings)


def this_machine(settings: Configuration, layout: Layout) -> Machine:
    """Return this machine's ids and the addresses of its containers, claimed until the platform stops."""
    ids = read_document(layout.machine)
    return Machine(
        host_id=ids["host_id"],
        router_id=ids["router_id"],
        tag=subnets.tag(layout.home),
        subnet=settings.agent_subnet or subnets.claim(layout),
        version=source_version(),
    )
