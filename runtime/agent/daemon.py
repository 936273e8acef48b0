"""The agent as a process.

In: settings and an engine.  Out: a running agent, until SIGTERM (containers go on) or POST /v1/stop (nothing is left).
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import gc
import logging
import os
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from aiohttp import web

from runtime.agent.api import Api
from runtime.agent.calls import EngineCalls
from runtime.agent.containers import Containers
from runtime.agent.controller import Controller
from runtime.agent.events import Events
from runtime.agent.garbage import Keep
from runtime.agent.guard import Guard
from runtime.agent.host import Host
from runtime.agent.images import Images
from runtime.agent.instance import Context
from runtime.agent.janitor import Janitor
from runtime.agent.joining import Joining
from runtime.agent.limits import LimitWatch
from runtime.agent.nameserver import NameServer
from runtime.agent.pulls import Pulls
from runtime.agent.refusals import Refusals
from runtime.agent.remains import Ended
from runtime.agent.reporter import Reporter
from runtime.agent.shipper import Shipper
from runtime.agent.store import Store, write_atomic
from runtime.agent.streams import Streams
from runtime.agent.volume_watch import VolumeWatch
from runtime.agent.volumes import VolumeRoutes
from runtime.config import Settings
from runtime.container.port import Engine, EngineError
from runtime.logs.hub import LogHub
from runtime.network import resolver
from runtime.network.rules import GATEWAY
from runtime.renewal import keep_fresh
from runtime.tls import CONTROLLER, client_context

log = logging.getLogger(__name__)
M_ARENA_MAX = -8  # mallopt(3)


class AlreadyRunning(Exception):
    """Another agent uses the same home."""


def run(settings: Settings, engine: Engine) -> None:
    """Run until told to stop. Raises `EngineError` or `AlreadyRunning` when it cannot begin."""
    # Eight worker threads would otherwise each get an arena of their own, which never shrinks.
    ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)
    store = Store(settings.state)
    store.open()
    lock = _lock(settings)
    try:
        # Before any thread exists: the engine may move this process to a mount namespace.
        engine.open()
        remove = asyncio.run(_serve(settings, engine, store))
        engine.close(remove=remove)
    finally:
        os.close(lock)


def _lock(settings: Settings) -> int:
    descriptor = os.open(settings.state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AlreadyRunning(
            f"Another agent already uses {settings.home}; stop it or set PAAS_AGENT_HOME to another folder."
        ) from None
    return descriptor


async def _serve(settings: Settings, engine: Engine, store: Store) -> bool:
    """Start everything, wait for the end; return whether to remove everything."""
    calls = EngineCalls(engine)
    asyncio.get_running_loop().set_default_executor(calls.pool)
    guard = Guard(settings)
    controller = _controller(settings)
    reporter = Reporter(controller)
    logs = LogHub(engine.log_path, calls.reopen_log)
    events = Events(store.root / "events.jsonl")
    pulls = Pulls(store.root / "pulls", events)
    images = Images(calls, controller, store.temporary, pulls)
    shipper = Shipper(logs, controller.send_logs, settings.state / "cursors.json")
    ended = Ended(store.root / "ended", settings.ended_keep_minutes * 60)
    context = Context(calls, images, logs, reporter.changed, events, lambda: _save(host), ended)
    host = Host(settings.host_id, context, controller, store, shipper)
    host.version = settings.version
    janitor = Janitor(host, calls, images, store, events, _keep(settings), settings.home)
    images.on_disk_full = janitor.wake
    refusals = Refusals(calls, logs, events)
    stopped: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def stop(remove: bool) -> None:
        if not stopped.done():
            stopped.set_result(remove)

    _on_signals(lambda: stop(False))
    pulls.recover(engine.missing_images)
    await host.recover()
    streams = Streams(host, calls, context.sessions)
    volumes = VolumeRoutes(host, engine.keeper(), events)
    containers = Containers(host, calls, ended)
    runner = web.AppRunner(
        Api(
            host, calls, logs, events, janitor, refusals, (streams, containers, volumes), guard, stop
        ).application(),
        access_log=None,
        shutdown_timeout=0.2,
    )
    loops: list[Coroutine[Any, Any, None]] = [reporter.run(host), reporter.keep_saving(host), janitor.run()]
    loops += [Joining(host, calls).run(), LimitWatch(host, context, shipper.lost).run()]
    loops.append(refusals.run())
    loops.append(VolumeWatch(engine.keeper(), logs, events).run())
    if controller.exists:
        loops.append(shipper.run())
        if settings.credentials is not None:
            loops.append(keep_fresh(settings.controller, settings.credentials))
    tasks = [asyncio.create_task(loop) for loop in loops]
    names = NameServer(engine.owner_at, host.look_up, resolver.host_servers, refusals)
    try:
        await _serve_names(names, calls)
        await _listen(runner, settings, store, guard)
        _settle()
        return await stopped
    finally:
        await names.close()
        await _close(runner, tasks, host, logs, controller)


async def _serve_names(names: NameServer, calls: EngineCalls) -> None:
    """Without it containers still have the host's own name servers."""
    try:
        await calls.serve_names(await names.start(GATEWAY))
    except (OSError, EngineError) as error:
        log.error("names of containers cannot be answered on this host: %s", error)


def _save(host: Host) -> None:
    """A full disk must not keep anything from being stopped or cleared away."""
    try:
        host.save()
    except OSError as error:
        log.error("the state of this host cannot be stored: %s", error)


def _keep(settings: Settings) -> Keep:
    return Keep(
        image_bytes=settings.images_max_bytes,
        image_seconds=settings.images_keep_hours * 3600,
        cache_bytes=settings.caches_max_bytes,
        cache_seconds=settings.caches_keep_days * 86400,
        disk_free_min=settings.disk_free_min,
    )


def _controller(settings: Settings) -> Controller:
    tls = client_context(settings.credentials, CONTROLLER) if settings.credentials else None
    return Controller(settings.controller, settings.controller_token, settings.host_id, tls)


async def _listen(runner: web.AppRunner, settings: Settings, store: Store, guard: Guard) -> None:
    """Open the port; the `address` file says where, for port 0 and the command line."""
    await runner.setup()
    site = web.TCPSite(runner, settings.listen_host, settings.listen_port, ssl_context=guard.context)
    await site.start()
    host, port = runner.addresses[0][:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    write_atomic(store.root / "address", address.encode(), sync=False)
    log.info("host %s listens on %s", settings.host_id, address)


async def _close(
    runner: web.AppRunner, tasks: list[asyncio.Task[None]], host: Host, logs: LogHub, controller: Controller
) -> None:
    await runner.cleanup()
    left = set(tasks)
    while left:  # again: wait_for of Python 3.11 swallows a cancellation that comes together with its result
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.5)
    await host.leave()
    logs.close()
    await controller.close()


def _on_signals(stop: Any) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def _settle() -> None:
    """Startup garbage goes back to the system; what lives on is not looked at by later collections."""
    gc.collect()
    gc.freeze()
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
