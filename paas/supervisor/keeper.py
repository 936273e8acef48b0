"""Keeps one process running: starts it, waits until it is ready, starts it again when it dies, ends it.

In: a `Process`.  Out: a running child of this process, or the reason why there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping

from paas.supervisor import logs, proctable
from paas.supervisor.layout import SOURCE, Layout
from paas.supervisor.probes import request
from paas.supervisor.processes import Process, environment

POLL = 0.05  # seconds between two looks at a process that is starting
FIRST_DELAY, LONGEST_DELAY = 0.2, 10.0  # seconds before a dead process is started again
STEADY = 30.0  # seconds of running after which the delay begins anew


class StartFailed(Exception):
    """A process did not become ready. The text holds the last lines of its log."""


class Keeper:
    """One process. `changed` is called whenever its process id changes."""

    def __init__(
        self,
        process: Process,
        environ: Mapping[str, str],
        layout: Layout,
        say: Callable[[str], None],
        changed: Callable[[], None],
    ):
        self.process = process
        self.state = "stopped"
        self.restarts = 0
        self._environ = environment(process, environ)
        self._log = layout.log(process.name)
        self._say = say
        self._changed = changed
        self._child: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._since = 0.0
        self._offset = 0

    @property
    def pid(self) -> int | None:
        return None if self._child is None or self._child.returncode is not None else self._child.pid

    def entry(self) -> proctable.Entry | None:
        """Return what identifies the running process, None without one."""
        ticks = proctable.started(self.pid) if self.pid else None
        return proctable.Entry(self.pid, ticks, self.process.outlived) if self.pid and ticks else None

    async def start(self) -> None:
        """Start the process and wait until it is ready. Raises StartFailed."""
        await self._launch()
        await self._become_ready()
        self._watch = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Ask the process to end and kill it, with its children, after its deadline."""
        await self._unwatch()
        if self.pid is not None:
            self.state = "stopping"
            deadline = time.monotonic() + self.process.ending.deadline
            asked = await self._asked()
            await self._end(asked, within=max(deadline - time.monotonic(), 1.0))
        self.state = "stopped"
        self._changed()

    async def restart(self) -> None:
        """End the process by its signal, so that what outlives it goes on, and start it. Raises StartFailed."""
        await self._unwatch()
        if self.pid is not None:
            await self._end(asked=False, within=self.process.ending.deadline)
        try:
            await self.start()
        except StartFailed:
            self._watch = asyncio.create_task(self._keep())
            raise

    async def leave(self) -> None:
        """End the process by its signal, so that what outlives it goes on."""
        await self._unwatch()
        if self.pid is not None:
            await self._end(asked=False, within=self.process.ending.deadline)
        self.state = "stopped"
        self._changed()

    async def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None

    async def _launch(self) -> None:
        self.state, self._since = "starting", time.monotonic()
        with self._log.open("ab") as log:
            self._offset = log.tell()
            # PDEATHSIG: a supervisor that is killed takes its processes along, so that no port stays taken.
            self._child = await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "TERM", "--", *self.process.argv),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=SOURCE,
                env=self._environ,
                # The agent and the router lay out files for others to read and set their modes themselves.
                umask=0o022 if self.process.own_settings else 0o077,
                start_new_session=True,
            )
        self._changed()

    async def _become_ready(self) -> None:
        deadline = self._since + self.process.start_deadline
        while not await self.process.probe.ready(self._log, self._offset):
            if self.pid is None:
                raise StartFailed(self._failure(f"ended {describe(self._returncode())}"))
            if time.monotonic() > deadline:
                await self._kill()
                raise StartFailed(self._failure(f"was not ready within {self.process.start_deadline:.0f} s"))
            await asyncio.sleep(POLL)
        if self.pid is None:  # somebody else answered
            raise StartFailed(self._failure(f"ended {describe(self._returncode())}"))
        self.state = "running"

    async def _keep(self) -> None:
        """Start the process again whenever it ends, a little later each time it fails quickly."""
        delay = FIRST_DELAY
        while True:
            code = await self._child.wait() if self._child else 0
            self._sweep()
            if time.monotonic() - self._since > STEADY:
                delay = FIRST_DELAY
            self.state, self.restarts = "waiting", self.restarts + 1
            self._changed()
            self._say(f"{self.process.name} ended {describe(code)}; it is started again in {delay:.1f} s.")
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY)
            try:
                await self._launch()
                await self._become_ready()
                self._say(f"{self.process.name} is back (process {self.pid}).")
            except StartFailed as error:
                self._say(str(error))
            except OSError as error:  # no memory, no descriptor, a full disk: that passes
                self._say(f"{self.process.name} could not be started: {error}.")

    async def _end(self, asked: bool, within: float) -> None:
        ending, child = self.process.ending, self._child
        assert child is not None
        if not asked:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(ending.signal)
        try:
            await asyncio.wait_for(child.wait(), within)
        except TimeoutError:
            self._say(f"{self.process.name} did not end within {ending.deadline:.0f} s; it is killed.")
            await self._kill()
        self._sweep()

    async def _asked(self) -> bool:
        """Send the request that ends the process, if it has one. False when only a signal is left."""
        ending = self.process.ending
        if not ending.path:
            return False
        try:
            status = await request(
                *("POST", ending.address, ending.path),
                body=ending.body,
                own=ending.own,
                timeout=ending.deadline,
            )
        except (OSError, TimeoutError, ValueError):
            return False
        return status < 300

    async def _kill(self) -> None:
        assert self._child is not None
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()
        await self._child.wait()
        self._sweep()

    def _sweep(self) -> None:
        """Kill the children that a dead process left (gunicorn's workers hold the port), unless they may outlive it."""
        if self._child is not None and not self.process.outlived:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, signal.SIGKILL)

    def _returncode(self) -> int:
        return (self._child.returncode or 0) if self._child else 0

    def _failure(self, what: str) -> str:
        lines = logs.last_lines(self._log, offset=self._offset)
        said = "\n".join(f"    {line}" for line in lines.splitlines()) or "    (it wrote nothing)"
        return f"{self.process.name} {what}. The end of its log, {self._log}:\n{said}"


def describe(code: int) -> str:
    """Return how a process ended, in words, from its return code."""
    if code < 0:
        return f"by {signal.Signals(-code).name}"
    return f"with exit status {code}"
