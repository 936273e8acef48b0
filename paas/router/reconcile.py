"""Keeps HAProxy equal to the table. In: tables, and HAProxy as it is found. Out: runtime commands, reloads, a report.

What is to be is written to files first, so that a reload, a crash or a restart of either process gives the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable

from paas.router import diff
from paas.router.haproxy import Haproxy, until
from paas.router.home import Home, State
from paas.router.layout import Layout, instance_of, lay_out, occupied_slots, place
from paas.router.masterline import HaproxyError, Processes
from paas.router.render import Process, fingerprint, render_files
from paas.router.report import Found
from paas.router.table import RouteTable, check_table

log = logging.getLogger(__name__)

USABLE_WITHIN = 2.0  # seconds that new servers get to become usable before old ones are drained
ORPHAN_GRACE = (
    30.0  # seconds that requests get on a server which has left the table without being drained before
)
STOP_GRACE = 3.0  # seconds that requests get when HAProxy itself is to end
RELOAD_ABOVE = 300  # commands for new servers that take longer than a reload
SILENCE = 10.0  # seconds that a HAProxy which does not answer is left alone: a busy machine, a reload
GIVE_UP = 3  # failures in a row after which nobody is kept waiting for a table; trying goes on
IDLE = 5.0  # seconds between two looks when nothing calls for one


class Reconciler:
    """The one place that changes HAProxy. `run` is its loop; everything else asks for something and waits."""

    def __init__(
        self, home: Home, haproxy: Haproxy, process: Process, state: State, changed: Callable[[], None]
    ) -> None:
        self.home, self.haproxy, self.process, self.state = home, haproxy, process, state
        self.wanted: RouteTable = home.table()
        self.found = Found()
        self.problem = ""
        self.reloads = 0
        self._changed = changed
        self._layout = Layout(version=-1, pool=state.placement.pool)
        self._applied: RouteTable | None = None
        self._wake = asyncio.Event()
        self._done = asyncio.Condition()
        self._leaving: dict[str, float] = {}
        self._pids: Processes | None = None
        self._exit_watch: int | None = None
        self._stopped = False
        self._started = False
        self._failures = 0
        self._since_change = 0.0
        self._turn = asyncio.Lock()

    @property
    def version(self) -> int:
        """Return the version that HAProxy serves."""
        return self._applied.version if self._applied is not None else 0

    def wake(self) -> None:
        """Have a look now: something may have changed."""
        self._wake.set()

    def accept(self, table: RouteTable) -> bool:
        """Take over a table unless it is older than the newest known. Raises ValueError if it contradicts itself."""
        check_table(table)
        if table.version < self.wanted.version or table == self.wanted:
            return False
        self.home.save_table(table)
        self.wanted = table
        self.wake()
        return True

    async def applied(self, table: RouteTable, timeout: float) -> bool:
        """Wait until HAProxy serves `table` or a newer one. False after `timeout` seconds or several failures."""

        def is_applied() -> bool:
            return self._applied is not None and (
                self._applied == table or self._applied.version > table.version
            )

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout), self._done:
                await self._done.wait_for(lambda: is_applied() or self._failures >= GIVE_UP)
        return is_applied()

    async def run(self) -> None:
        """Work until cancelled. A failure is logged once, kept in `problem`, and tried again soon."""
        while True:
            self._wake.clear()
            async with self._turn:
                pause = IDLE if self._stopped else await self._attempt()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _attempt(self) -> float:
        """Do what is due and return after how many seconds to look again."""
        try:
            await self._step()
        except (HaproxyError, OSError) as error:
            await self._note_failure(str(error))
            await self._tell()
            return float(min(0.2 * 2**self._failures, IDLE))
        self._failures, self.problem = 0, ""
        await self._tell()
        if not (self._leaving or self.found.draining):
            return IDLE
        return 0.1 if time.monotonic() < self._since_change + 10 else 0.5

    async def _tell(self) -> None:
        """Let those who wait in `applied` look."""
        async with self._done:
            self._done.notify_all()

    async def _note_failure(self, problem: str) -> None:
        if problem != self.problem:
            log.error("%s", problem)
        self.problem = problem
        self._failures += 1
        if await self.haproxy.processes() is None:
            self._applied, self.found = None, Found()
            self._changed()
            return
        with contextlib.suppress(HaproxyError):  # what it serves, it goes on serving
            self._publish(await self._workers())

    async def _step(self) -> None:
        processes = await self.haproxy.processes()
        if processes is None:
            await self._start()
        elif processes != self._pids:
            self._watch(processes)
        self.haproxy.trim_output()
        if self.wanted.version == 0 and not self._started:
            self._publish(
                await self._workers()
            )  # it serves a table that we do not have: the controller will send one
            return
        if self._applied is not self.wanted:
            await self._apply(self.wanted)
        await self._sweep()

    async def _start(self) -> None:
        """Start HAProxy with the last table's files, once its predecessor has gone. One that only is silent stays."""
        if not await self.haproxy.vanished(SILENCE):
            return
        self._pids, self._applied, self._started = None, None, True
        self._write(self.wanted, frozenset())
        self._watch(await self.haproxy.start())
        log.info("HAProxy serves, table version %d", self.wanted.version)

    def _watch(self, processes: Processes) -> None:
        """Wake at once when the master ends: its exit makes a pidfd readable, child of ours or not."""
        loop = asyncio.get_running_loop()
        self._unwatch()
        self._pids = processes
        with contextlib.suppress(OSError):
            self._exit_watch = os.pidfd_open(processes.master)
            loop.add_reader(self._exit_watch, self._master_ended)

    def _master_ended(self) -> None:
        log.error("HAProxy has ended")
        self._unwatch()
        self.wake()

    def _unwatch(self) -> None:
        if self._exit_watch is not None:
            asyncio.get_running_loop().remove_reader(self._exit_watch)
            os.close(self._exit_watch)
            self._exit_watch = None

    def _write(self, table: RouteTable, occupied: frozenset[int]) -> None:
        placement = place(table, self.state.placement, occupied)
        if placement != self.state.placement:
            self.state = State(placement=placement, log_port=self.state.log_port, log_key=self.state.log_key)
            self.home.save_state(self.state)
        self._layout = lay_out(table, placement)
        self.home.write(render_files(self.process, self._layout))

    async def _apply(self, table: RouteTable) -> None:
        """Make HAProxy serve `table`: files, then new servers, then names, then drains."""
        observed = await self.haproxy.servers()
        self._write(table, occupied_slots(observed, self.state.placement))
        outdated = await self.haproxy.description() != fingerprint(self.process, self._layout.pool)
        many = len(diff.additions(observed, self._layout)) > RELOAD_ABOVE
        if outdated or many or self._failures > 1:  # what commands did not do twice, the written files will
            await self._reload()
            observed = await self.haproxy.servers()
        for command in diff.additions(observed, self._layout):
            await self.haproxy.line.run(command)
        await self._wait_usable(diff.not_usable(observed, self._layout))
        await self._change_maps()
        for command in diff.drains(await self.haproxy.servers(), self._layout):
            await self.haproxy.line.run(command)
        self._applied, self._since_change = table, time.monotonic()

    async def _reload(self) -> None:
        await self.haproxy.reload(self.process.binds)
        self.reloads += 1
        processes = await self.haproxy.processes()
        if processes is not None:
            self._watch(processes)
        log.info("HAProxy reloaded with room for %d apps", self._layout.pool)

    async def _wait_usable(self, missing: frozenset[str]) -> None:
        """Give the servers just added a moment. One that refuses connections does not hold the others up for long."""

        async def usable() -> bool:
            return not missing & diff.not_usable(await self.haproxy.servers(), self._layout)

        if missing:
            with contextlib.suppress(HaproxyError):
                await until(usable, USABLE_WITHIN, lambda: "not usable")

    async def _change_maps(self) -> None:
        for name, entries in diff.wanted_maps(self._layout).items():
            for command in diff.map_changes(name, await self.haproxy.map(name), entries):
                await self.haproxy.line.run(command)

    async def _sweep(self) -> None:
        """Delete drained servers, and take the picture that reports are made of."""
        workers = await self._workers()
        self._leaving = self._deadlines(diff.unwanted(workers[0], self._layout))
        for key, deadline in self._leaving.items():
            overdue = time.monotonic() > deadline
            if overdue or not workers[0][key].sessions:
                await self._remove(key, by_force=overdue)
        if self._leaving:
            workers[0] = await self.haproxy.servers()
            self._leaving = {key: deadline for key, deadline in self._leaving.items() if key in workers[0]}
        self._publish(workers)

    async def _workers(self) -> list[diff.Servers]:
        return [await self.haproxy.servers(), *await self.haproxy.old_servers()]

    def _deadlines(self, leaving: frozenset[str]) -> dict[str, float]:
        """Return until when each leaving server may finish: without end while the table knows it as draining."""
        listed = {backend.id for app in self.wanted.apps for backend in app.backends}
        soon = time.monotonic() + ORPHAN_GRACE
        return {
            key: float("inf") if instance_of(key) in listed else min(self._leaving.get(key, soon), soon)
            for key in leaving
        }

    async def _remove(self, key: str, *, by_force: bool) -> None:
        """Delete one server. HAProxy refuses while a last connection closes: the next round tries again."""
        for command in diff.removal(key, by_force=by_force):
            try:
                await self.haproxy.line.run(command)
            except HaproxyError as error:
                log.debug("%s", error)
                return

    def _publish(self, workers: list[diff.Servers]) -> None:
        found = Found(workers=tuple(workers), table=self._applied)
        different = found.summary() != self.found.summary()
        self.found = found
        if different:
            self._changed()

    async def stop(self) -> None:
        """End HAProxy and keep it ended."""
        async with self._turn:
            self._stopped = True
            self._unwatch()
            await self.haproxy.stop(STOP_GRACE)
            self._applied, self._pids, self.found = None, None, Found()
        self._changed()

    def close(self) -> None:
        """Let go of HAProxy, which keeps serving."""
        self._unwatch()
