"""The agent of this host, as its commands reach it.

In: the settings.  Out: its address, and a client.
"""

from __future__ import annotations

from contextlib import suppress

from runtime.client import AgentClient
from runtime.config import Settings


def connect(settings: Settings) -> AgentClient:
    return AgentClient(address_of(settings), settings.token)


def address_of(settings: Settings) -> str:
    address = f"{settings.listen_host}:{settings.listen_port}"
    with suppress(OSError):
        address = (settings.state / "address").read_text()
    return f"http://{address}"
