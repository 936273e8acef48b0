"""Joining: from a URL and a token to keys, certificates and a membership on disk.

In: the command line of `script/join`.  Out: files below the data folder. May be killed anywhere and started again: the
keys are kept before they are shown to anybody, and the controller knows them when they come again.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from paas.joined.membership import Membership, credentials, write
from paas.supervisor.layout import Layout
from paas.supervisor.subnets import parse_routes
from runtime import signing
from runtime.enrolment import AUTHORITY_PATH, JOIN_PATH, Joined, JoinRequest, JoinToken
from runtime.model import decode, encode
from runtime.tls import CONTROLLER, first_contact

ROUTES = Path("/proc/net/route")


class NotJoined(Exception):
    """The machine could not join; the text says why and what to do."""


@dataclass(frozen=True)
class Wish:
    """What the operator asked for. `address` '': the one by which the controller is reached."""

    controller: str
    token: JoinToken
    name: str
    address: str
    port: int
    subnet: str
    version: str
    router: bool
    router_port: int
    router_bind: str


def enrol(layout: Layout, wish: Wish) -> Membership:
    """Join. Raises NotJoined."""
    address = wish.address or local_address(wish.controller)
    authority = trusted_authority(wish.controller, wish.token.fingerprint)
    agent_key = _kept_key(layout, "agent")
    router_key = _kept_key(layout, "router") if wish.router else None
    request = JoinRequest(
        secret=wish.token.secret,
        name=wish.name,
        address=address,
        agent_port=wish.port,
        agent_request=signing.signing_request(agent_key),
        router_port=wish.router_port if wish.router else 0,
        router_request=signing.signing_request(router_key) if router_key else "",
        subnet=wish.subnet,
        routes=tuple(str(route) for route in parse_routes(ROUTES.read_text())),
        version=wish.version,
    )
    context = first_contact(authority, CONTROLLER)
    try:
        joined = decode(signing.ask(wish.controller, "POST", JOIN_PATH, encode(request), context), Joined)
    except signing.ControllerRefused as error:
        raise NotJoined(str(error)) from error
    signing.keep(credentials(layout, "agent"), agent_key, joined.agent_certificate, joined.authority)
    if router_key:
        signing.keep(credentials(layout, "router"), router_key, joined.router_certificate, joined.authority)
    membership = _membership(wish, address, joined)
    write(layout, membership)
    for name in ("agent", "router"):
        _key_file(layout, name).unlink(missing_ok=True)
    return membership


def _membership(wish: Wish, address: str, joined: Joined) -> Membership:
    return Membership(
        controller=wish.controller,
        host=joined.host,
        name=joined.name,
        address=address,
        port=wish.port,
        subnet=joined.subnet,
        router=joined.router,
        router_port=wish.router_port,
        router_bind=wish.router_bind,
        version=wish.version,
    )


def local_address(controller: str) -> str:
    """Return this machine's address on the way to the controller. Raises NotJoined."""
    parts = urlsplit(controller)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 443), timeout=10) as one:
            address: str = one.getsockname()[0]
            return address
    except OSError as error:
        raise NotJoined(
            f"The controller at {controller} cannot be reached ({error}). Is its port open to this machine?"
        ) from error


def trusted_authority(controller: str, fingerprint: str) -> str:
    """Return the authority's certificates, if the first is the one that the token names. Raises NotJoined."""
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it is what is fetched that is checked, not who gives it
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    try:
        text = signing.ask(controller, "GET", AUTHORITY_PATH, b"", blind).decode("ascii")
        first = x509.load_pem_x509_certificate(text.encode())
    except (signing.ControllerRefused, ValueError) as error:
        raise NotJoined(f"{controller} is no controller of a platform: {error}") from error
    if first.fingerprint(hashes.SHA256()).hex() != fingerprint:
        raise NotJoined(
            f"{controller} is not the platform that made this token: its authority is another one. Somebody may stand "
            "between you and it, or the token is of another platform."
        )
    return text


def _key_file(layout: Layout, name: str) -> Path:
    return layout.machines / f"{name}.key"


def _kept_key(layout: Layout, name: str) -> signing.Key:
    file = _key_file(layout, name)
    if not file.exists():
        signing.write_private(file, signing.key_text(signing.make_key()))
    return signing.read_key(file.read_text())
