"""Mutual TLS between the machines of one platform: who they are, and contexts that check it.

In: a machine's own key and certificate (one PEM file), and the authorities it trusts.  Out: contexts for `ssl`.

An identity is a URI in the certificate: `paas://controller`, `paas://host/ID`, `paas://router/ID`. Names and addresses
in certificates mean nothing here: machines move, identities do not. Imports nothing but the standard library.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTROLLER = "paas://controller"
_HOST, _ROUTER = "paas://host/", "paas://router/"


def host_identity(id_: str) -> str:
    return f"{_HOST}{id_}"


def router_identity(id_: str) -> str:
    return f"{_ROUTER}{id_}"


@dataclass(frozen=True)
class Credentials:
    """`machine`: key and certificate of this machine (mode 0600), replaced as a whole when renewed. `authority`: the
    certificates it trusts."""

    machine: Path
    authority: Path

    def stamp(self) -> tuple[int, ...]:
        """Return what changes when one of the files was replaced."""
        files = [file.stat() for file in (self.machine, self.authority)]
        return tuple(value for file in files for value in (file.st_mtime_ns, file.st_ino))


class WrongPeer(ssl.SSLCertVerificationError):
    """The other side is of this platform, and not who was expected."""


def identity_of(certificate: Mapping[str, Any] | None) -> str:
    """Return the identity in what `getpeercert` returns; '' without a certificate, or with no single one."""
    names = (certificate or {}).get("subjectAltName", ())
    found = [value for kind, value in names if kind == "URI" and value.startswith("paas://")]
    return found[0] if len(found) == 1 else ""


def client_context(credentials: Credentials, peer: str) -> ssl.SSLContext:
    """Return a context that shows this machine's certificate and talks to `peer` only.

    Raises OSError (ssl.SSLError among them) when the files cannot be used.
    """
    context = _Renewing(ssl.PROTOCOL_TLS_CLIENT)
    context.follow(credentials, peer, ssl.CERT_REQUIRED)
    return context


def server_context(credentials: Credentials, *, strangers: bool = False) -> ssl.SSLContext:
    """Return a context for a port of this machine, which asks for a certificate of the platform.

    `strangers`: also let those in that have none; who they are not is then for the handlers to notice. What a
    certificate that is shown allows is for them as well, so that a refusal can say why.
    """
    context = _Renewing(ssl.PROTOCOL_TLS_SERVER)
    context.follow(credentials, "", ssl.CERT_OPTIONAL if strangers else ssl.CERT_REQUIRED)
    return context


def first_contact(authority: str, peer: str) -> ssl.SSLContext:
    """Return a context of a machine that has no certificate yet, and trusts the PEM certificates in `authority`."""
    context = _Checking(ssl.PROTOCOL_TLS_CLIENT)
    _prepare(context, peer, ssl.CERT_REQUIRED)
    context.load_verify_locations(cadata=authority)
    return context


class _Renewing(ssl.SSLContext):
    """Stands in for a context that is made anew whenever the files have changed: certificates live for days, processes
    for months."""

    _credentials: Credentials
    _peer: str
    _stamp: tuple[int, ...] = ()
    _inner: ssl.SSLContext

    def follow(self, credentials: Credentials, peer: str, mode: ssl.VerifyMode) -> None:
        self.check_hostname = False
        self.verify_mode = mode
        self._credentials, self._peer, self._mode = credentials, peer, mode
        self._current()

    def _current(self) -> ssl.SSLContext:
        stamp = self._credentials.stamp()
        if stamp != self._stamp:
            self._inner = _load(self._credentials, self._peer, self.protocol, self._mode)
            self._stamp = stamp
        return self._inner

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        return self._current().wrap_socket(*arguments, **options)

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        return self._current().wrap_bio(*arguments, **options)


class _Checking(ssl.SSLContext):
    """What `_Renewing` stands in for: after each handshake the peer is compared with who was expected."""

    peer = ""


def _load(
    credentials: Credentials, peer: str, protocol: ssl._SSLMethod, mode: ssl.VerifyMode
) -> ssl.SSLContext:
    context = _Checking(protocol)
    _prepare(context, peer, mode)
    context.load_cert_chain(credentials.machine)
    context.load_verify_locations(credentials.authority)
    return context


def _prepare(context: _Checking, peer: str, mode: ssl.VerifyMode) -> None:
    context.check_hostname = False
    context.verify_mode = mode
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.sslsocket_class, context.sslobject_class = _Socket, _Object
    context.peer = peer


def _check(certificate: Any, context: ssl.SSLContext) -> None:
    expected = context.peer if isinstance(context, _Checking) else ""
    if expected and identity_of(certificate) != expected:
        found = identity_of(certificate) or "nobody of this platform"
        raise WrongPeer(f"The other side is {found}, not {expected}.")


class _Socket(ssl.SSLSocket):
    def do_handshake(self, *arguments: Any, **options: Any) -> None:
        super().do_handshake(*arguments, **options)
        _check(self.getpeercert(), self.context)


class _Object(ssl.SSLObject):
    def do_handshake(self) -> None:
        super().do_handshake()
        _check(self.getpeercert(), self.context)
