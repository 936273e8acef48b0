"""What runs on one box: command line, environment, readiness and end of every process, as values.

In: the configuration and this machine's ids.  Out: `Process` values in the order of their start.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from paas.configuration import Configuration
from paas.supervisor.layout import Layout
from paas.supervisor.probes import Answers, Own, Pongs, Probe, Says
from runtime.tls import host_identity, router_identity

REDIS_MEMORY = "256mb"
WEB_GRACE = 3  # seconds for answers in flight; log streams never end by themselves
GIT_GRACE = 120  # seconds for pushes in flight when git is restarted by systemd
# Only the first set-up needs them; they must not stay in the environment of long-lived processes.
SETUP_ONLY = {"PAAS_ADMIN_PASSWORD"}
# Settings of the agent and the router that the caller of `up` may give.
PASSED_ON = {
    "PAAS_AGENT_RUNTIME",
    "PAAS_AGENT_RUNTIMES",
    "PAAS_AGENT_SECCOMP_DIR",
    "PAAS_AGENT_HOOKS_DIR",
    "PAAS_AGENT_CNI",
    "PAAS_AGENT_CNI_CONF_DIR",
    "PAAS_AGENT_CNI_BIN_DIR",
    "PAAS_AGENT_CNI_SECONDS",
    "PAAS_AGENT_BLOCKED",
    "PAAS_AGENT_OVERLAY",
    "PAAS_AGENT_UNDERLAY",
    "PAAS_AGENT_IMAGES_MAX_BYTES",
    "PAAS_AGENT_IMAGES_KEEP_HOURS",
    "PAAS_AGENT_CACHES_MAX_BYTES",
    "PAAS_AGENT_CACHES_KEEP_DAYS",
    "PAAS_AGENT_DISK_FREE_MIN",
    "PAAS_AGENT_ENDED_KEEP_MINUTES",
    "PAAS_HAPROXY",
    "PAAS_ROUTER_THREADS",
}


@dataclass(frozen=True)
class Ending:
    """How a process is asked to end: a request if there is one, else the signal; SIGKILL after the deadline."""

    stage: int  # processes of one stage end together, lower stages first
    deadline: float
    path: str = ""
    address: tuple[str, int] = ("", 0)
    own: Own | None = None
    body: bytes = b""
    signal: signal.Signals = signal.SIGTERM


@dataclass(frozen=True)
class Process:
    """One process. `outlived`: what it started (containers, HAProxy) may go on without it, so it is signalled alone."""

    name: str
    argv: tuple[str, ...]
    probe: Probe
    ending: Ending
    environ: Mapping[str, str] = field(default_factory=dict)
    start_deadline: float = 30.0
    outlived: bool = False
    own_settings: bool = False  # reads its own PAAS_ variables and refuses the control plane's


@dataclass(frozen=True)
class Machine:
    """This machine in the platform's words."""

    host_id: str
    router_id: str
    tag: str
    subnet: str
    version: str = ""


def base_environment(environ: Mapping[str, str], layout: Layout) -> dict[str, str]:
    """Return what every process gets: the caller's environment, less first-run secrets, plus what saves memory."""
    kept = {name: value for name, value in environ.items() if name not in SETUP_ONLY}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # every start would compile the sources again
    return kept | {
        "DJANGO_SETTINGS_MODULE": "paas.settings",
        "MALLOC_ARENA_MAX": "2",
        "PYTHONUNBUFFERED": "1",
        "SUPERVISED_BY": str(layout.home),
    }


def environment(process: Process, base: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of a process, `base` being that of all."""
    inherited = {
        name: value
        for name, value in base.items()
        if not (process.own_settings and name.startswith("PAAS_") and name not in PASSED_ON)
    }
    return inherited | dict(process.environ)


def redis(layout: Layout) -> Process:
    """Redis on a unix socket: no port, no password to keep, one per data folder.

    When its memory is full, logs that nobody has touched for long give way, and never a queue: those have no expiry.
    """
    argv = [
        "redis-server",
        "--port",
        "0",
        "--unixsocket",
        str(layout.redis_socket),
        "--unixsocketperm",
        "700",
    ]
    argv += ["--dir", str(layout.home / "redis"), "--appendonly", "yes", "--save", "", "--daemonize", "no"]
    argv += ["--maxmemory", REDIS_MEMORY, "--maxmemory-policy", "volatile-lru", "--loglevel", "notice"]
    return Process("redis", tuple(argv), Pongs(layout.redis_socket), Ending(stage=4, deadline=4))


def python_processes(settings: Configuration, layout: Layout, machine: Machine) -> list[Process]:
    """Return the processes that need a set-up database, in the order of their start."""
    return [
        _web(settings),
        _agent(settings, layout, machine),
        _router(settings, layout, machine),
        _git(settings),
        _gateway(settings, layout),
        _worker(settings),
        _beat(),
    ]


def _gunicorn(application: str, bind: str, port: int, *options: str) -> tuple[str, ...]:
    module = (sys.executable, "-m", "gunicorn", application, "--bind", f"{bind}:{port}")
    # The heartbeat file on tmpfs: on a busy disk it would stall the worker.
    common = ("--preload", "--no-control-socket", "--worker-tmp-dir", "/dev/shm")
    return (*module, *common, *options)


def _web(settings: Configuration) -> Process:
    threads = ("--workers", "1", "--threads", str(settings.web_threads))
    host, port = settings.machine_address
    machines = ("--worker-class", "paas.machine_port.Worker", "--bind", f"{host}:{port}")
    limits = ("--timeout", "60", "--graceful-timeout", str(WEB_GRACE), "--keep-alive", "75")
    return Process(
        "web",
        _gunicorn("paas.wsgi:application", settings.bind, settings.api_port, *machines, *threads, *limits),
        Answers((_reachable(settings.bind), settings.api_port), "/health"),
        Ending(stage=2, deadline=WEB_GRACE + 2),
    )


def _git(settings: Configuration) -> Process:
    workers = ("--worker-class", "gthread", "--workers", str(settings.git_workers))
    threads = (*workers, "--threads", str(settings.git_threads))
    limits = ("--timeout", "0", "--graceful-timeout", str(GIT_GRACE), "--keep-alive", "5")
    return Process(
        "git",
        _gunicorn("paas.git_wsgi:application", settings.bind, settings.git_port, *threads, *limits),
        Answers((_reachable(settings.bind), settings.git_port)),
        Ending(stage=1, deadline=3),
    )


def _worker(settings: Configuration) -> Process:
    argv = [sys.executable, "-m", "celery", "-A", "paas", "worker", "--pool", "threads"]
    argv += ["--concurrency", str(settings.worker_threads), "--queues", "schedule,builds,housekeeping"]
    argv += ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"]
    return Process("worker", tuple(argv), Says(" ready."), Ending(stage=2, deadline=6))


def _beat() -> Process:
    argv = (
        sys.executable,
        "-m",
        "celery",
        "-A",
        "paas.beat",
        "beat",
        "--pidfile",
        "",
        "--loglevel",
        "WARNING",
    )
    # Without this variable Celery does not load Django: a timer has no use for it.
    return Process("beat", argv, Says("beat v"), Ending(stage=1, deadline=3), {"DJANGO_SETTINGS_MODULE": ""})


def _agent(settings: Configuration, layout: Layout, machine: Machine) -> Process:
    address, files = ("127.0.0.1", settings.agent_port), settings.credentials("agent")
    own = Own(files, host_identity(machine.host_id))
    environ = {
        "PAAS_AGENT_HOME": str(layout.home / "agent"),
        "PAAS_AGENT_LISTEN": f"{address[0]}:{address[1]}",
        "PAAS_AGENT_HOST_ID": machine.host_id,
        "PAAS_AGENT_MACHINE_FILE": str(files.machine),
        "PAAS_AGENT_AUTHORITY_FILE": str(files.authority),
        "PAAS_AGENT_CONTROLLER": _controller(settings),
        "PAAS_AGENT_VERSION": machine.version,
        "PAAS_AGENT_SUBNET": machine.subnet,
        "PAAS_AGENT_TAG": machine.tag,
        "PAAS_AGENT_CA_BUNDLE": str(settings.ca_bundle) if settings.ca_bundle.is_file() else "",
    }
    return Process(
        "agent",
        (sys.executable, "-m", "runtime", "agent"),
        Answers(address, "/v1/health", own),
        Ending(3, 9, "/v1/stop", address, own, b'{"remove": true}'),
        environ,
        outlived=True,
        own_settings=True,
    )


def _router(settings: Configuration, layout: Layout, machine: Machine) -> Process:
    address, files = ("127.0.0.1", settings.router_control_port), settings.credentials("router")
    own = Own(files, router_identity(machine.router_id))
    environ = {
        "PAAS_ROUTER_HOME": str(layout.home / "router"),
        "PAAS_ROUTER_BIND": f"{settings.bind}:{settings.router_port}",
        "PAAS_ROUTER_LISTEN": f"{address[0]}:{address[1]}",
        "PAAS_ROUTER_ID": machine.router_id,
        "PAAS_ROUTER_MACHINE_FILE": str(files.machine),
        "PAAS_ROUTER_AUTHORITY_FILE": str(files.authority),
        "PAAS_ROUTER_CONTROLLER": _controller(settings),
    }
    return Process(
        "router",
        (sys.executable, "-m", "paas.router"),
        Answers(address, "/v1/health", own),
        Ending(1, 4, "/v1/stop", address, own, b"{}"),
        environ,
        outlived=True,
        own_settings=True,
    )


def _gateway(settings: Configuration, layout: Layout) -> Process:
    behind, certificates = _reachable(settings.bind), settings.ca_file.parent
    files = settings.credentials("controller")
    environ = {
        "PAAS_GATEWAY_LISTEN": f"{settings.bind}:{settings.gateway_port}",
        "PAAS_GATEWAY_WEB": f"{behind}:{settings.api_port}",
        "PAAS_GATEWAY_GIT": f"{behind}:{settings.git_port}",
        "PAAS_GATEWAY_CERTIFICATE": str(certificates / "gateway.pem"),
        "PAAS_GATEWAY_PRIVATE_KEY": str(certificates / "gateway.key"),
        "PAAS_GATEWAY_TICKET_KEY_FILE": str(layout.token("gateway")),
        "PAAS_GATEWAY_MACHINE_FILE": str(files.machine),
        "PAAS_GATEWAY_AUTHORITY_FILE": str(files.authority),
    }
    return Process(
        "gateway",
        (sys.executable, "-m", "paas.gateway"),
        Says("the gateway listens on"),
        Ending(stage=1, deadline=3),
        environ,
        own_settings=True,
    )


def _controller(settings: Configuration) -> str:
    host, port = settings.machine_address
    return f"https://{_reachable(host)}:{port}"


def _reachable(bind: str) -> str:
    """Return the address at which a process of this machine reaches one that is bound to `bind`."""
    return "127.0.0.1" if bind in {"0.0.0.0", ""} else bind


def needs_redis(environ: Mapping[str, str] | None = None) -> bool:
    """Say whether Redis is this installation's own. With REDIS_URL set somebody else runs it."""
    return not (os.environ if environ is None else environ).get("REDIS_URL")
