"""What a joined machine knows of itself, on disk.

In: a data folder.  Out: paths, and a frozen `Membership` that survives restarts and upgrades.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from paas.supervisor.layout import Layout, write_document
from paas.supervisor.subnets import tag
from runtime import shapes
from runtime.tls import Credentials

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Membership:
    """`settings`: `PAAS_AGENT_*`, `PAAS_ROUTER_*` variables that its operator gave when it joined or after that."""

    controller: str
    host: str
    name: str
    address: str
    port: int
    subnet: str
    router: str = ""
    router_port: int = 0
    router_bind: str = ""
    version: str = ""
    settings: tuple[tuple[str, str], ...] = ()


def file_of(layout: Layout) -> Path:
    return layout.home / "joined.json"


def read(layout: Layout) -> Membership | None:
    """Return the membership, None on a machine that has not joined (or only half: then joining goes on)."""
    try:
        return shapes.decode(file_of(layout).read_bytes(), Membership)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write(layout: Layout, membership: Membership) -> None:
    write_document(file_of(layout), msgspec.to_builtins(membership))


def credentials(layout: Layout, name: str) -> Credentials:
    """`agent` or `router`."""
    return Credentials(layout.machines / f"{name}.pem", layout.machines / "ca.pem")


def with_settings(membership: Membership, given: dict[str, str]) -> Membership:
    """Return it with the variables given now over those given before."""
    kept = dict(membership.settings) | given
    return replace(membership, settings=tuple(sorted(kept.items())))


def agent_environment(layout: Layout, membership: Membership) -> dict[str, str]:
    """Return the agent's settings."""
    files = credentials(layout, "agent")
    return {
        "PAAS_AGENT_UNDERLAY": membership.address,
        **{name: value for name, value in membership.settings if name.startswith("PAAS_AGENT_")},
        "PAAS_AGENT_HOME": str(layout.home / "agent"),
        "PAAS_AGENT_LISTEN": f"{membership.address}:{membership.port}",
        "PAAS_AGENT_HOST_ID": membership.host,
        "PAAS_AGENT_MACHINE_FILE": str(files.machine),
        "PAAS_AGENT_AUTHORITY_FILE": str(files.authority),
        "PAAS_AGENT_CONTROLLER": membership.controller,
        "PAAS_AGENT_VERSION": membership.version,
        "PAAS_AGENT_SUBNET": membership.subnet,
        "PAAS_AGENT_TAG": tag(layout.home),
        "PAAS_AGENT_CA_BUNDLE": str(CA_BUNDLE) if CA_BUNDLE.is_file() else "",
    }


def router_environment(layout: Layout, membership: Membership) -> dict[str, str]:
    """Return the router's settings."""
    files = credentials(layout, "router")
    return {
        **{name: value for name, value in membership.settings if name.startswith("PAAS_ROUTER_")},
        "PAAS_ROUTER_HOME": str(layout.home / "router"),
        "PAAS_ROUTER_BIND": membership.router_bind,
        "PAAS_ROUTER_LISTEN": f"{membership.address}:{membership.router_port}",
        "PAAS_ROUTER_ID": membership.router,
        "PAAS_ROUTER_MACHINE_FILE": str(files.machine),
        "PAAS_ROUTER_AUTHORITY_FILE": str(files.authority),
        "PAAS_ROUTER_CONTROLLER": membership.controller,
    }
