"""The types the router speaks: whole route tables in, reports and access lines out.

In: JSON bodies from the controller.  Out: frozen values; `decode` and `encode` are the only conversions.

A table is whole and versioned: storing, resending, reordering and repeating it is harmless. A router ignores a table
older than the one it has, so a controller that reads a newer version in a report must number past it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeVar

import msgspec

from runtime import shapes

T = TypeVar("T")

Identifier = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]
AppName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
Host = Annotated[str, msgspec.Meta(pattern=r"^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\Z", max_length=253)]
Address = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Fa-f.:]{2,45}\Z")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Moment = Annotated[float, msgspec.Meta(ge=0, le=250_000_000_000)]  # Unix seconds
PageUrl = Annotated[str, msgspec.Meta(pattern=r"^(https?://[!-~]{1,2000})?\Z")]


class Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=False, kw_only=True):
    """Base of all values on the wire: frozen, keyword-only, unknown fields refused."""


class EmptyReason(StrEnum):
    """Why an app has no backend that takes requests, and so which page its visitors get."""

    NO_RELEASE = "no_release"  # H81: nothing has been deployed yet
    NO_WEB = "no_web"  # H14: the web process type is scaled to zero
    CRASHED = "crashed"  # H10
    STARTING = "starting"  # H20: the first instances are not up yet


class Backend(Struct, frozen=True):
    """One instance that listens. `name` is DYNO-style (`web.1`). `draining`: finish what runs, take nothing new."""

    id: Identifier
    name: Identifier
    address: Address
    port: Port
    draining: bool = False


class AppRoute(Struct, frozen=True):
    """One app. `hosts` are lower-case names; `*.x` matches one label more than `x`. Two apps never share a host.

    `timeout_seconds` is the longest silence allowed from an instance (H12). `error_url` and `maintenance_url` are
    shown in place of the router's own pages.
    """

    app: Identifier
    name: AppName
    hosts: tuple[Host, ...]
    maintenance: bool = False
    backends: tuple[Backend, ...] = ()
    empty: EmptyReason = EmptyReason.NO_WEB
    timeout_seconds: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 30
    error_url: PageUrl = ""
    maintenance_url: PageUrl = ""


class RouteTable(Struct, frozen=True):
    """Everything a router must serve. A host that is not in it gets 404."""

    version: int
    apps: tuple[AppRoute, ...] = ()


class BackendState(Struct, frozen=True):
    """What a router says of one backend of its table.

    `up`: requests reach it. `drained`: it is marked draining and none of its requests is left on this router.
    """

    id: str
    active_sessions: int
    drained: bool
    up: bool


class RouterReport(Struct, frozen=True):
    """Sent on every change and every few seconds. `version` is the table HAProxy serves. Whole, never a delta."""

    router: str
    sequence: Count
    version: Count
    backends: tuple[BackendState, ...] = ()
    haproxy_up: bool = True


class RouterReply(Struct, frozen=True):
    """The controller's answer to a report: the newest table if the router's is older, else None."""

    table: RouteTable | None = None


class AccessLine(Struct, frozen=True):
    """One request as the app's log shows it: `text` in Heroku's router logfmt, beside it the fields it was made of.

    `at` is Unix seconds. `code` is an H-code or empty. `dyno` is empty when no instance was chosen.
    """

    app: str
    at: Moment
    text: str
    status: int
    service_ms: int
    connect_ms: int
    bytes: int
    code: str
    dyno: str
    host: str
    method: str
    path: str
    request_id: str


class AccessBatch(Struct, frozen=True):
    """Access lines on their way to the controller, oldest first. `lost` counts lines dropped before the first one."""

    router: str
    lines: tuple[AccessLine, ...] = ()
    lost: int = 0


class ErrorBody(Struct, frozen=True):
    """What the router answers with a 4xx or 5xx: a stable id and a sentence."""

    id: str
    message: str


def check_table(table: RouteTable) -> None:
    """Raise ValueError when two apps claim one host or two backends have one id."""
    owners: dict[str, str] = {}
    ids: set[str] = set()
    for app in table.apps:
        for host in app.hosts:
            if owners.setdefault(host, app.name) != app.name:
                raise ValueError(
                    f"host {host} belongs to both {owners[host]} and {app.name}: give it to one app"
                )
        for backend in app.backends:
            if backend.id in ids:
                raise ValueError(f"backend {backend.id} appears twice: ids name one instance each")
            ids.add(backend.id)


def encode(value: Struct) -> bytes:
    """Return the JSON of a value."""
    return msgspec.json.encode(value)


def decode(data: bytes, type_: type[T]) -> T:
    """Read JSON into `type_`. Raises `ValueError` (msgspec.ValidationError) naming the field that is wrong."""
    return shapes.decode(data, type_)
