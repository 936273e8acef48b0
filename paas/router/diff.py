"""What to tell HAProxy so that it becomes the layout. In: what it holds, what it should. Out: runtime commands.

The order that loses no request: `additions`, wait until `not_usable` is empty, `map_changes`, `drains`; later, for
every server of `unwanted` that has no request left, `removal`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from paas.router.layout import Layout, Server
from paas.router.render import ERRORS_MAP, HOSTS_MAP, MAINTENANCE_MAP, SERVER_OPTIONS

ADDED = "New server registered."
DELETED = "Server deleted."


@dataclass(frozen=True)
class ServerState:
    """A server as HAProxy's statistics show it: `UP`, `UP 1/2`, `DOWN`, `DRAIN`, `MAINT`, `no check`; requests now."""

    status: str
    sessions: int

    @property
    def usable(self) -> bool:
        return self.status.startswith(("UP", "no check"))

    @property
    def set_aside(self) -> bool:
        return self.status.startswith(("DRAIN", "MAINT"))


@dataclass(frozen=True)
class Command:
    """A runtime command and the answer that means success (most say nothing)."""

    text: str
    success: str = ""


Servers = Mapping[str, ServerState]


def additions(observed: Servers, layout: Layout) -> list[Command]:
    """Return the commands that bring in missing servers and bring back those set aside."""
    commands: list[Command] = []
    for key, server in layout.servers.items():
        state = observed.get(key)
        if state is None:
            commands += add(server)
        elif state.set_aside:
            commands += [Command(f"set server {key} state ready"), Command(f"enable health {key}")]
    return commands


def add(server: Server) -> list[Command]:
    """Return the commands for one new server: it takes requests as soon as the last one is answered."""
    return [
        Command(f"add server {server.key} {server.endpoint} {SERVER_OPTIONS}", ADDED),
        Command(f"enable server {server.key}"),
        Command(f"enable health {server.key}"),
    ]


def not_usable(observed: Servers, layout: Layout) -> frozenset[str]:
    """Return the wanted servers that do not take requests."""
    return frozenset(key for key in layout.servers if key not in observed or not observed[key].usable)


def drains(observed: Servers, layout: Layout) -> list[Command]:
    """Return the commands that keep new requests from servers which are no longer wanted."""
    return [
        Command(f"set server {key} state drain")
        for key, state in observed.items()
        if key not in layout.servers and not state.set_aside
    ]


def unwanted(observed: Servers, layout: Layout) -> frozenset[str]:
    """Return the servers that must go once their requests have ended."""
    return frozenset(key for key in observed if key not in layout.servers)


def removal(key: str, *, by_force: bool = False) -> list[Command]:
    """Return the commands that delete a drained server; `by_force` ends what still runs on it."""
    end = [Command(f"shutdown sessions server {key}")] if by_force else []
    return [Command(f"set server {key} state maint"), *end, Command(f"del server {key}", DELETED)]


def wanted_maps(layout: Layout) -> dict[str, Mapping[str, str]]:
    """Return the content of every map, by file. The host map is last: it is what makes an app visible."""
    return {ERRORS_MAP: layout.error_urls, MAINTENANCE_MAP: layout.maintenance_urls, HOSTS_MAP: layout.hosts}


def map_changes(name: str, observed: Mapping[str, str], wanted: Mapping[str, str]) -> list[Command]:
    """Return the commands that turn one map into another."""
    changed = [
        Command(f"{'set' if key in observed else 'add'} map {name} {key} {escape(value)}")
        for key, value in wanted.items()
        if observed.get(key) != value
    ]
    return changed + [Command(f"del map {name} {key}") for key in observed if key not in wanted]


def escape(value: str) -> str:
    """Return a value as one word of a runtime command."""
    return value.replace("\\", "\\\\").replace(";", "\\;").replace(" ", "\\ ")


def parse_servers(csv: str) -> dict[str, ServerState]:
    """Read `show stat -1 4 -1`, keeping the slots' servers only."""
    lines = [line for line in csv.splitlines() if line]
    if not lines or not lines[0].startswith("# "):
        raise ValueError(f"not HAProxy statistics: {csv[:200]!r}")
    columns = lines[0].removeprefix("# ").split(",")
    proxy, name, sessions, status = (
        columns.index(column) for column in ("pxname", "svname", "scur", "status")
    )
    rows = (line.split(",") for line in lines[1:])
    return {
        f"{row[proxy]}/{row[name]}": ServerState(row[status], int(row[sessions] or 0))
        for row in rows
        if row[proxy].startswith("s") and row[proxy][1:].isdigit()
    }


def parse_map(text: str) -> dict[str, str]:
    """Read `show map NAME`: one `address key value` a line."""
    parts = (line.split(" ", 2) for line in text.splitlines() if line)
    return {part[1]: part[2] for part in parts if len(part) == 3}


def total_sessions(workers: Iterable[Servers], key: str) -> int:
    """Return the requests that run on a server in all HAProxy processes, old ones included."""
    return sum(worker[key].sessions for worker in workers if key in worker)
