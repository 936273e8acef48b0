"""The hosts, as their administrators see them, and the address at which machines reach the controller.

In: rows, the configuration.  Out: states in one word, a URL.
"""

from __future__ import annotations

import socket
from datetime import datetime
from ipaddress import ip_address

from django.conf import settings

from paas.controller.models import Host, Instance
from paas.controller.selectors.dynos import as_uuid
from paas.controller.selectors.planning import HOST_LOST, HOST_QUIET
from paas.controller.texts import storable
from paas.errors import Conflict, NotFound

EVERYWHERE = {"", "0.0.0.0", "::"}


def find_host(name_or_id: str) -> Host:
    """Raises NotFound."""
    identity = as_uuid(name_or_id)
    found = Host.objects.filter(id=identity) if identity else Host.objects.filter(name=storable(name_or_id))
    host = found.first()
    if host is None:
        raise NotFound(f"There is no host {name_or_id}; `paas hosts` lists them.", resource="host")
    return host


def host_state(host: Host, now: datetime) -> str:
    """joined (never reported), up, cordoned, quiet (gets nothing new), lost (what it held runs elsewhere)."""
    if host.seen_at is None:
        return "joined"
    if now - host.seen_at > HOST_LOST:
        return "lost"
    if now - host.seen_at > HOST_QUIET:
        return "quiet"
    return "cordoned" if host.cordoned else "up"


def instances_on(host: Host) -> int:
    """Count what runs there and is not on its way out."""
    return host.instances.exclude(wanted=Instance.Wanted.STOP).count()


def machine_url() -> str:
    """Return where other machines reach the controller. Raises Conflict when they cannot."""
    bind, port = settings.PAAS.machine_address
    if bind in EVERYWHERE:
        public = settings.PAAS.public_host
        bind = _own_address() if public == "localhost" else public
    if _is_loopback(bind):
        raise Conflict(
            f"Other machines cannot reach this platform: it listens for them on {bind} only. Set PAAS_MACHINE_BIND to "
            "this machine's address on your network (or 0.0.0.0) and start the platform again."
        )
    return f"https://[{bind}]:{port}" if ":" in bind else f"https://{bind}:{port}"


def _is_loopback(text: str) -> bool:
    try:
        return ip_address(text).is_loopback
    except ValueError:
        return text == "localhost"


def _own_address() -> str:
    """Return the address of the default route; connecting a datagram socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address
