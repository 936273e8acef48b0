"""The agent of this host, as its commands reach it.

In: the settings.  Out: its address, a TLS context where it speaks TLS, and a client.
"""

from __future__ import annotations

import ssl
from contextlib import suppress

from runtime.client import AgentClient
from runtime.config import Settings
from runtime.tls import client_context, host_identity


def connect(settings: Settings) -> AgentClient:
    return AgentClient(address_of(settings), settings.token, tls=tls_of(settings))


def address_of(settings: Settings) -> str:
    address = f"{settings.listen_host}:{settings.listen_port}"
    with suppress(OSError):
        address = (settings.state / "address").read_text()
    return f"{'https' if settings.credentials else 'http'}://{address}"


def tls_of(settings: Settings) -> ssl.SSLContext | None:
    """Whoever can read the host's key is the host: its agent listens to it."""
    if settings.credentials is None:
        return None
    return client_context(settings.credentials, host_identity(settings.host_id))
