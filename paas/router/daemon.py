"""The router process, put together. In: settings. Out: everything running until SIGTERM; HAProxy stays and serves."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import pwd
import signal

import aiohttp
from aiohttp import web

from paas.router.api import make_app
from paas.router.collector import AccessBuffer, Collector
from paas.router.config import Settings
from paas.router.controller import Controller
from paas.router.haproxy import Haproxy, descriptor_limit, find_binary
from paas.router.home import Home, State
from paas.router.metrics import Metrics
from paas.router.reconcile import Reconciler
from paas.router.render import Process
from paas.router.table import RouterReport, RouteTable
from runtime.renewal import keep_fresh
from runtime.tls import CONTROLLER, client_context, server_context

log = logging.getLogger(__name__)

USER = "haproxy"  # made by Debian's package; HAProxy's worker becomes it when started by root


class Daemon:
    """One router: the control API's view of the parts, and their life."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._home = Home(settings.home)
        self._haproxy = Haproxy(settings.home, find_binary(settings.haproxy))
        self._buffer = AccessBuffer()
        self._metrics = Metrics()
        self._changed = asyncio.Event()
        self._sequence = itertools.count(1)
        self._ended = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None
        self._reconciler: Reconciler

    def accept(self, table: RouteTable) -> bool:
        return self._reconciler.accept(table)

    async def applied(self, table: RouteTable, timeout: float) -> bool:
        return await self._reconciler.applied(table, timeout)

    def problem(self) -> str:
        return self._reconciler.problem

    async def stop(self) -> None:
        """End HAProxy, then this process. A signal or a caller that hangs up meanwhile does not cut it short."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._reconciler.stop())
            self._stopping.add_done_callback(lambda _: self._ended.set())
        await asyncio.shield(self._stopping)

    def report(self) -> RouterReport:
        """Return what is known now."""
        found = self._reconciler.found
        return RouterReport(
            router=self.settings.id,
            sequence=next(self._sequence),
            version=self._reconciler.version,
            backends=found.backends(),
            haproxy_up=bool(found.workers),
        )

    def metrics(self) -> str:
        """Return the counters in Prometheus' format."""
        self._metrics.lost = self._buffer.total_lost
        gauges = {
            "paas_router_table_version": self._reconciler.version,
            "paas_router_haproxy_up": int(bool(self._reconciler.found.workers)),
            "paas_router_reloads": self._reconciler.reloads,
        }
        return self._metrics.render({app.app: app.name for app in self._reconciler.wanted.apps}, gauges)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, which leave HAProxy serving, or until `stop`, which does not."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        state = self._home.state()
        collector = Collector(state.log_key, self._buffer, self._metrics, self._remarked)
        port = await collector.listen(state.log_port)
        state = State(placement=state.placement, log_port=port, log_key=state.log_key)
        self._home.save_state(state)
        process = make_process(self.settings, state)
        self._reconciler = Reconciler(self._home, self._haproxy, process, state, self._changed.set)
        runner = web.AppRunner(make_app(self, self.settings), access_log=None, shutdown_timeout=2.0)
        try:
            await self._serve(runner)
        finally:
            if self._stopping is not None:
                await self._stopping
            await runner.cleanup()
            self._reconciler.close()
            await collector.close()

    async def _serve(self, runner: web.AppRunner) -> None:
        await runner.setup()
        files, listen = self.settings.credentials, self.settings.listen
        context = server_context(files) if files else None
        await web.TCPSite(runner, listen.host, listen.port, ssl_context=context).start()
        async with _session(self.settings) as session, asyncio.TaskGroup() as tasks:
            controller = Controller(self.settings, session)
            running = [
                tasks.create_task(self._reconciler.run()),
                tasks.create_task(controller.report_forever(self.report, self._changed, self.accept)),
                tasks.create_task(controller.deliver_forever(self._buffer, self.settings.id)),
            ]
            if files is not None:
                running.append(tasks.create_task(keep_fresh(self.settings.controller, files)))
            await self._ended.wait()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await controller.deliver_rest(self._buffer, self.settings.id)

    def _remarked(self) -> None:
        self._reconciler.wake()


def _session(settings: Settings) -> aiohttp.ClientSession:
    if settings.credentials is None:
        return aiohttp.ClientSession()
    tls = client_context(settings.credentials, CONTROLLER)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls))


def make_process(settings: Settings, state: State) -> Process:
    """Return how HAProxy runs on this host."""
    drop = os.geteuid() == 0 and has_user(USER)
    return Process(
        binds=settings.binds,
        descriptors=descriptor_limit(),
        log_port=state.log_port,
        log_key=state.log_key,
        user=USER if drop else "",
        group=USER if drop else "",
        threads=settings.threads,
        platform_host=settings.platform_host,
        platform_backend=settings.platform_backend,
    )


def has_user(name: str) -> bool:
    """Tell whether the host knows a user."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
