"""What must be true before anything is started, so that a first user reads one sentence and not a traceback.

In: the configuration and the machine.  Out: a list of problems in words, empty when the platform can start.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections import Counter
from pathlib import Path

from paas.configuration import Configuration
from paas.supervisor.layout import LONGEST_HOME

PROGRAMS = ("crun", "conmon", "nft", "mksquashfs", "haproxy", "redis-server", "git", "setpriv")
LEAST_DISK = 2 * 1024**3  # bytes: a stack, its build layer and a first slug
PORTS = {
    "PAAS_API_PORT": "api_port",
    "PAAS_GIT_PORT": "git_port",
    "PAAS_GATEWAY_PORT": "gateway_port",
    "PAAS_MACHINE_PORT": "machine_port",
    "PAAS_ROUTER_PORT": "router_port",
    "PAAS_AGENT_PORT": "agent_port",
    "PAAS_ROUTER_CONTROL_PORT": "router_control_port",
}
LISTEN = "0A"  # the state in /proc/net/tcp
LOOPBACK_ONLY = {"PAAS_AGENT_PORT", "PAAS_ROUTER_CONTROL_PORT"}


def machine_problems(settings: Configuration) -> list[str]:
    """Return what is wrong with the machine and the data folder."""
    problems = []
    if os.geteuid() != 0:
        problems.append("The platform makes containers and needs root. Start it as root: sudo script/up")
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        problems.append(f"Programs are missing: {', '.join(missing)}. script/up installs them.")
    if len(str(settings.home)) > LONGEST_HOME:
        problems.append(
            f"PAAS_HOME={settings.home} is too long: sockets in it would not fit into the {LONGEST_HOME} characters "
            "that Linux leaves for it. Choose a shorter folder."
        )
    free = shutil.disk_usage(_existing(settings.home)).free
    if free < LEAST_DISK:
        problems.append(
            f"The disk of {settings.home} has {free / 1024**2:.0f} MB free; {LEAST_DISK // 1024**2} MB are needed. "
            "Free some space, or put the data elsewhere with PAAS_HOME."
        )
    return problems


def port_problems(settings: Configuration) -> list[str]:
    """Return which ports cannot be used, why, and which setting moves them."""
    ports = {variable: getattr(settings, field) for variable, field in PORTS.items()}
    problems = [
        f"{' and '.join(v for v, p in ports.items() if p == port)} are both {port}; give each its own port."
        for port, count in Counter(ports.values()).items()
        if count > 1
    ]
    for variable, port in ports.items():
        bind = "127.0.0.1" if variable in LOOPBACK_ONLY else settings.bind
        bind = settings.machine_address[0] if variable == "PAAS_MACHINE_PORT" else bind
        problems += _port_problem(variable, bind, port, settings.home)
    return problems


def _port_problem(variable: str, bind: str, port: int, home: Path) -> list[str]:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((bind, port))
            listener.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                holder = _holder(port)
                if holder is not None and belongs_to(holder, home):
                    return []  # HAProxy of a supervisor that was killed: the router takes it over
                return [_taken(variable, port, holder)]
            return [f"{bind}:{port} cannot be used ({error.strerror}); see {variable} and PAAS_BIND."]
        except OverflowError:
            return [f"{variable}={port} is not a port; choose one from 1 to 65535."]
    return []


def _taken(variable: str, port: int, holder: int | None) -> str:
    who = "another process"
    if holder is not None:
        who = f"{Path(f'/proc/{holder}/comm').read_text().strip()} (process {holder})"
    return f"Port {port} is taken by {who}. Stop it, or choose another port with {variable}."


def _holder(port: int) -> int | None:
    """Return the process that has a TCP port of this network namespace: who listens there, or else who uses it."""
    listening: set[str] = set()
    using: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text().splitlines()[1:]:
            columns = line.split()
            if int(columns[1].rpartition(":")[2], 16) == port:
                (listening if columns[3] == LISTEN else using).add(f"socket:[{columns[9]}]")
    return _owner(listening or using)


def _owner(sockets: set[str]) -> int | None:
    """Return a process that has one of these sockets open."""
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(descriptor.readlink()) in sockets:
                return int(descriptor.parts[2])
        except OSError:
            continue
    return None


def belongs_to(pid: int, home: Path) -> bool:
    """Say whether a process was started for the installation in `home`."""
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    marked = f"SUPERVISED_BY={home}".encode() in environ
    return marked or any(argument.startswith(f"{home}/".encode()) for argument in arguments)


def _existing(folder: Path) -> Path:
    return next(candidate for candidate in (folder, *folder.parents) if candidate.exists())
