"""Where each app of a table lives in HAProxy. In: a route table and the slots in use. Out: servers and map entries.

HAProxy cannot make a backend at run time, so a pool of empty ones (slots `s1`..`sN`) is configured ahead. An app keeps
its slot for as long as it is in the table; the pool doubles, by a reload, when every slot is taken.
"""

from __future__ import annotations

import html
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from paas.router.table import AppRoute, Backend, EmptyReason, RouteTable, Struct

FIRST_POOL = 64
NO_CODE = "-"
EMPTY_CODES = {
    EmptyReason.NO_RELEASE: "H81",
    EmptyReason.NO_WEB: "H14",
    EmptyReason.CRASHED: "H10",
    EmptyReason.STARTING: "H20",
}


class Placement(Struct, frozen=True):
    """Which slot each app has (app id → 1..pool). Kept on disk, so that a restarted router finds its servers."""

    pool: int = FIRST_POOL
    slots: dict[str, int] = {}


@dataclass(frozen=True)
class Server:
    """A HAProxy server. Its name holds the instance's name and id, so that log lines explain themselves."""

    slot: int
    name: str
    address: str
    port: int

    @property
    def key(self) -> str:
        return f"s{self.slot}/{self.name}"

    @property
    def endpoint(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Layout:
    """A table as HAProxy sees it: servers that take requests (by `slot/name`) and the content of the three maps."""

    version: int
    pool: int
    servers: dict[str, Server] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)
    error_urls: dict[str, str] = field(default_factory=dict)
    maintenance_urls: dict[str, str] = field(default_factory=dict)


def place(table: RouteTable, previous: Placement, occupied: frozenset[int]) -> Placement:
    """Give every app with backends a slot. `occupied` slots still hold servers of an earlier owner."""
    known = {app.app for app in table.apps}
    slots = {app: slot for app, slot in previous.slots.items() if app in known}
    missing = [app.app for app in table.apps if app.backends and app.app not in slots]
    taken = set(slots.values()) | occupied
    pool = previous.pool
    while pool - len(taken) < len(missing):
        pool *= 2
    free = (slot for slot in range(1, pool + 1) if slot not in taken)
    slots.update(zip(missing, free, strict=False))
    return Placement(pool=pool, slots=slots)


def lay_out(table: RouteTable, placement: Placement) -> Layout:
    """Return what HAProxy must hold for `table`."""
    servers: dict[str, Server] = {}
    hosts: dict[str, str] = {}
    for app in table.apps:
        for backend in active(app):
            server = server_of(backend, placement.slots[app.app])
            servers[server.key] = server
        hosts.update({host: host_entry(app, placement.slots.get(app.app)) for host in app.hosts})
    return Layout(
        version=table.version,
        pool=placement.pool,
        servers=servers,
        hosts=hosts,
        error_urls={app.app: attribute_safe(app.error_url) for app in table.apps if app.error_url},
        maintenance_urls={
            app.app: attribute_safe(app.maintenance_url) for app in table.apps if app.maintenance_url
        },
    )


def active(app: AppRoute) -> tuple[Backend, ...]:
    """Return the backends that take new requests."""
    return tuple(backend for backend in app.backends if not backend.draining)


def server_of(backend: Backend, slot: int) -> Server:
    """Return the HAProxy server of an instance. Another address makes another server: the old one drains by itself."""
    address = zlib.crc32(f"{backend.address} {backend.port}".encode())
    return Server(slot, f"{backend.name}:{backend.id}:{address:08x}", backend.address, backend.port)


def instance_of(server_name: str) -> str:
    """Return the instance id inside a server name ('' if it is not one of ours)."""
    parts = server_name.split(":")
    return parts[1] if len(parts) == 3 else ""


def dyno_of(server_name: str) -> str:
    """Return the DYNO-style name inside a server name ('' if it is not one of ours)."""
    parts = server_name.split(":")
    return parts[0] if len(parts) == 3 else ""


def slot_of(key: str) -> int:
    """Return the slot number of `s12/name`."""
    return int(key.partition("/")[0].removeprefix("s"))


def host_entry(app: AppRoute, slot: int | None) -> str:
    """Return the map value of the app's hosts: `slot|app id|timeout ms|code|name`."""
    routed = f"s{slot}" if slot is not None else "-"
    return "|".join((routed, app.app, str(app.timeout_seconds * 1000), page_code(app), app.name))


def page_code(app: AppRoute) -> str:
    """Return the H-code of the page that answers in place of the app, or `-` when requests go through."""
    if app.maintenance:
        return "H80"
    return NO_CODE if active(app) else EMPTY_CODES[app.empty]


def attribute_safe(url: str) -> str:
    """Return a URL (printable ASCII, no spaces) as it stands in an HTML attribute."""
    return html.escape(url, quote=True)


def occupied_slots(keys: Mapping[str, object], placement: Placement) -> frozenset[int]:
    """Return the slots that hold servers of an app which is no longer placed there, given all server keys."""
    owned = set(placement.slots.values())
    return frozenset(slot_of(key) for key in keys) - owned
