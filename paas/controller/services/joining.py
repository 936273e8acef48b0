"""Hosts that join: tokens for it, and what a machine gets for one.

In: an administrator's wish; a machine's request.  Out: a token, shown once; rows, a subnet and certificates.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from paas import authority
from paas.controller.models import Host, JoinToken, Router, User
from paas.controller.services import events
from paas.controller.services.locking import lock_hosts
from paas.errors import Conflict, Forbidden, InvalidParams
from paas.supervisor.subnets import POOLS, PREFIX, parse_routes
from runtime.enrolment import Joined, JoinRequest
from runtime.enrolment import JoinToken as Secret
from runtime.tls import host_identity, router_identity

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")
LONGEST = timedelta(days=7)
REFUSED = "This token is not known, has expired, or was used by another machine; make one: paas hosts:token"


def make_token(user: User, lifetime: timedelta, name: str = "") -> tuple[JoinToken, Secret]:
    """Make a token for one machine. With the name of a host that there is, that host may come back with a new key."""
    if not timedelta(minutes=1) <= lifetime <= LONGEST:
        raise InvalidParams("A token lasts between a minute and seven days.")
    if name:
        check_name(name)
    secret = Secret.make(authority.read_authority(settings.PAAS.ca_file.parent).fingerprint)
    with transaction.atomic():
        row = JoinToken.objects.create(
            digest=_digest(secret.secret), name=name, expires_at=timezone.now() + lifetime
        )
        events.record(user, "host.token", row.id, name=name)
    return row, secret


def check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise InvalidParams(
            f"{name!r} cannot name a host: letters, digits, dots, dashes and underscores, at most 63."
        )


@transaction.atomic
def join(request: JoinRequest) -> Joined:
    """Enter a machine. The same request with the same key and token again gives the same host again."""
    key = _key(request.agent_request)
    router_key = _key(request.router_request) if request.router_request else None
    token = JoinToken.objects.select_for_update().filter(digest=_digest(request.secret)).first()
    key_digest = _key_digest(key)
    if token is None or token.expires_at < timezone.now() or token.key_digest not in ("", key_digest):
        raise Forbidden(REFUSED, id="join_refused")
    host = _host(token, request, key_digest)
    router = _router(host, request) if router_key is not None else None
    JoinToken.objects.filter(id=token.id).update(key_digest=key_digest, host=host)
    events.record(None, "host.join", host.id, name=host.name, url=host.url, subnet=host.subnet)
    return Joined(
        host=str(host.id),
        name=host.name,
        subnet=host.subnet,
        authority=settings.PAAS.ca_file.read_text(),
        agent_certificate=_certify(key, host_identity(str(host.id))),
        router=str(router.id) if router else "",
        router_certificate=(
            _certify(router_key, router_identity(str(router.id))) if router and router_key else ""
        ),
    )


def _host(token: JoinToken, request: JoinRequest, key_digest: str) -> Host:
    """Return the row: that of this token, the named one that comes back, or a new one."""
    others = lock_hosts()
    url = f"https://{_address(request.address)}:{_port(request.agent_port)}"
    known = next((one for one in others if one.id == token.host_id), None)
    name = token.name or request.name
    check_name(name)
    named = next((one for one in others if one.name == name), None)
    if known is None and named is not None and not token.name:
        raise Conflict(
            f"There is a host {name} already. Choose another name with --name; or, if it is this machine that comes "
            f"back, make the token with `paas hosts:token --name {name}`."
        )
    host = known or named or Host(name=name)
    host.url = url
    if not host.subnet:
        taken = [IPv4Network(one.subnet) for one in others if one.subnet and one.id != host.id]
        host.subnet = free_subnet(request.subnet, taken, [*map(IPv4Network, request.routes), *_own_routes()])
    host.save()
    return host


def _router(host: Host, request: JoinRequest) -> Router:
    url = f"https://{_address(request.address)}:{_port(request.router_port)}"
    router = Router.objects.filter(name=host.name).first() or Router(name=host.name)
    router.url, router.joined = url, True
    router.save()
    return router


def free_subnet(wanted: str, taken: Iterable[IPv4Network], routed: Iterable[IPv4Network]) -> str:
    """Return addresses for a host's containers: those that its operator chose, or the first that nobody has."""
    used = list(taken)
    if wanted:
        return _chosen(wanted, used)
    used += routed
    for pool in POOLS:
        for subnet in pool.subnets(new_prefix=PREFIX):
            if not any(subnet.overlaps(other) for other in used):
                return str(subnet)
    raise Conflict(
        "Every subnet for containers is taken; name a free one with --subnet, such as 10.42.0.0/18."
    )


def _chosen(text: str, taken: list[IPv4Network]) -> str:
    try:
        subnet = IPv4Network(text)
    except ValueError as error:
        raise InvalidParams(f"{text} is no subnet: {error}.") from error
    if subnet.prefixlen > 28 or (not subnet.is_private and not subnet.overlaps(IPv4Network("100.64.0.0/10"))):
        raise InvalidParams(f"{subnet} cannot be the containers' subnet: give a private /28 or larger.")
    for other in taken:
        if subnet.overlaps(other):
            raise Conflict(f"{subnet} overlaps {other}, the subnet of another host; choose another.")
    return str(subnet)


def _own_routes() -> list[IPv4Network]:
    """The controller's machine will have a route to the subnet: it must not hide one that it has."""
    table = Path("/proc/net/route")
    return parse_routes(table.read_text()) if table.exists() else []


def _address(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError as error:
        raise InvalidParams(
            f"{text!r} is no IPv4 address; say where this host is reached: --address."
        ) from error


def _port(number: int) -> int:
    if not 1 <= number <= 65535:
        raise InvalidParams(f"{number} is no port.")
    return number


def _key(request: str) -> ec.EllipticCurvePublicKey:
    try:
        return authority.read_request(request)
    except authority.BadRequestForCertificate as error:
        raise InvalidParams(str(error)) from error


def _certify(key: ec.EllipticCurvePublicKey, identity: str) -> str:
    own = authority.read_authority(settings.PAAS.ca_file.parent)
    return authority.text(authority.certify_machine(own, key, identity, authority.now()))


def _digest(secret: str) -> str:
    return hashlib.sha256(f"join:{secret}".encode()).hexdigest()


def _key_digest(key: ec.EllipticCurvePublicKey) -> str:
    layout = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, layout)).hexdigest()
