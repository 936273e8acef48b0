"""A joined machine without systemd: its processes as children of one that stays, until Ctrl-C.

In: a membership.  Out: running processes. Ctrl-C stops the containers too; a newer `script/join --foreground` takes
over and leaves them running; who is killed leaves them running as well, and the next start adopts them.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

from paas.joined.membership import Membership
from paas.joined.processes import processes
from paas.supervisor import control, logs, proctable
from paas.supervisor.keeper import Keeper, StartFailed
from paas.supervisor.layout import Layout
from paas.supervisor.processes import base_environment

HAND_OVER_SECONDS = 30.0
ROTATION = 30.0


class Foreground:
    """`run` until a signal, or until another one takes over."""

    def __init__(self, layout: Layout, membership: Membership, say: Callable[[str], None]) -> None:
        self._layout = layout
        self._membership = membership
        self._say = say
        self._keepers: list[Keeper] = []
        self._ended = asyncio.Event()
        self._leaves_containers = False

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._ended.set)
        door = await control.serve(self._layout.control_socket, self._answer)
        rotation = asyncio.create_task(self._rotate_logs())
        code = 0
        try:
            await self._start()
            self._say(f"{self._membership.name} is a host of {self._membership.controller}. Stop: Ctrl-C")
            await self._ended.wait()
        except StartFailed as error:
            self._say(str(error))
            code = 1
        finally:
            rotation.cancel()
            await self._stop()
            door.close()
            self._layout.control_socket.unlink(missing_ok=True)
        return code

    async def _start(self) -> None:
        environ = base_environment(os.environ, self._layout)
        for process in processes(self._layout, self._membership):
            keeper = Keeper(process, environ, self._layout, self._say, self._record)
            self._keepers.append(keeper)
            await keeper.start()
            self._say(f"{process.name} is ready.")

    async def _stop(self) -> None:
        for keeper in sorted(self._keepers, key=lambda one: one.process.ending.stage):
            await (keeper.leave() if self._leaves_containers else keeper.stop())
        self._keepers.clear()
        self._record()

    def _record(self) -> None:
        entries = {keeper.process.name: keeper.entry() for keeper in self._keepers}
        with contextlib.suppress(OSError):
            proctable.record(
                self._layout, {name: entry for name, entry in entries.items() if entry is not None}
            )

    async def _rotate_logs(self) -> None:
        while True:
            await asyncio.sleep(ROTATION)
            for log in self._layout.logs.glob("*.log"):
                with contextlib.suppress(OSError):
                    logs.rotate(log)

    async def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        if question.get("do") == "hand over":
            self._leaves_containers = True
            self._ended.set()
            return {"leaving": True}
        if question.get("do") == "down":
            self._ended.set()
            return {"stopping": True}
        if question.get("do") == "status":
            rows = {
                one.process.name: {"state": one.state, "pid": one.pid, "restarts": one.restarts}
                for one in self._keepers
            }
            return {"pid": os.getpid(), "processes": rows}
        return {"error": "Unknown command; known: status, down, hand over."}


@contextlib.contextmanager
def alone(layout: Layout) -> Iterator[None]:
    """Hold the data folder's lock; who holds it now is asked to leave, its containers stay. Raises TimeoutError."""
    deadline, asked = time.monotonic() + HAND_OVER_SECONDS, False
    with layout.lock.open("a+") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError from None
                if not asked:
                    with contextlib.suppress(control.NotRunning):
                        control.ask(layout.control_socket, {"do": "hand over"})
                        asked = True
                time.sleep(0.05)
        proctable.end_leftovers(proctable.leftovers(layout))
        yield
