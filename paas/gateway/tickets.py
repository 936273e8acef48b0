"""Tickets: what a URL for attaching allows, signed by the controller and honoured once by a gateway.

In: a `Ticket` and the installation's key.  Out: text for a URL, and back.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time

import msgspec

from runtime import shapes

LIFETIME = 75.0  # seconds: a client has 60 to attach, and clocks may differ a little
_SIGNATURE = 32  # bytes


class TicketError(Exception):
    """The ticket is not honoured: a sentence for the user."""


class Ticket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """May attach once to `container` on the host whose agent is at `agent` and is `identity` (`runtime.tls`), or to
    process `exec` in it. `framed`: bytes are carried as they are. `port`: to a port inside, and not only once."""

    agent: str
    identity: str
    container: str
    expires: float  # Unix seconds
    exec: str = ""
    tty: bool = False
    rows: int = 0
    columns: int = 0
    framed: bool = False
    port: int = 0
    nonce: str = msgspec.field(default_factory=lambda: secrets.token_hex(8))


def issue(key: str, ticket: Ticket) -> str:
    """Return a ticket as text: letters, digits, '-' and '_' only."""
    content = msgspec.json.encode(ticket)
    return base64.urlsafe_b64encode(_sign(key, content) + content).decode().rstrip("=")


def read(key: str, text: str, now: float) -> Ticket:
    """Return the ticket. Raises TicketError when it is forged or too old."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise TicketError("This is no address to attach to.") from error
    signature, content = raw[:_SIGNATURE], raw[_SIGNATURE:]
    if not hmac.compare_digest(signature, _sign(key, content)):
        raise TicketError("This is no address to attach to.")
    ticket = shapes.decode(content, Ticket)
    if ticket.expires < now:
        raise TicketError("Too late: it had to be attached to within a minute. Run it again.")
    return ticket


class Used:
    """The tickets that were honoured, until they expire by themselves."""

    def __init__(self) -> None:
        self._expiry: dict[str, float] = {}

    def take(self, ticket: Ticket) -> None:
        """Mark a ticket as used. Raises TicketError when it was before."""
        now = time.time()
        for nonce in [nonce for nonce, expires in self._expiry.items() if expires < now]:
            del self._expiry[nonce]
        if ticket.nonce in self._expiry:
            raise TicketError("Somebody has attached to it already. Run it again.")
        self._expiry[ticket.nonce] = ticket.expires


def _sign(key: str, content: bytes) -> bytes:
    return hmac.new(key.encode(), b"attach ticket:" + content, hashlib.sha256).digest()
