"""How a machine becomes one of a platform, and stays one: what it sends and what it gets.

In: a join token, signing requests.  Out: typed bodies for `/internal/join` and `/internal/renew`.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from runtime.model import Struct

JOIN_PATH, RENEW_PATH, AUTHORITY_PATH = "/internal/join", "/internal/renew", "/internal/authority"
_TOKEN = re.compile(r"join-([A-Za-z0-9_-]{43})-([0-9a-f]{64})")


@dataclass(frozen=True)
class JoinToken:
    """`secret` is good once. `fingerprint`: of the authority's certificate, so that the first contact is no leap of
    faith."""

    secret: str
    fingerprint: str

    @classmethod
    def make(cls, fingerprint: str) -> JoinToken:
        return cls(secrets.token_urlsafe(32), fingerprint)

    @classmethod
    def parse(cls, text: str) -> JoinToken:
        """Raises ValueError for what is no join token."""
        match = _TOKEN.fullmatch(text.strip())
        if match is None:
            raise ValueError(
                "That is no join token; `paas hosts:token` makes one, and prints the whole command."
            )
        return cls(match[1], match[2])

    def __str__(self) -> str:
        return f"join-{self.secret}-{self.fingerprint}"


class JoinRequest(Struct):
    """From a machine that wants to join. It may be sent again with the same key: nothing is made twice.

    `requests`: PEM signing requests, of its agent and, with a router, of that. `routes`: networks that its containers'
    addresses must keep clear of; `subnet`: addresses that its operator chose.
    """

    secret: str
    name: str
    address: str
    agent_port: int
    agent_request: str
    router_port: int = 0
    router_request: str = ""
    subnet: str = ""
    routes: tuple[str, ...] = ()
    version: str = ""


class Joined(Struct):
    """The answer: who the machine is now. Certificates and authority are PEM."""

    host: str
    name: str
    subnet: str
    authority: str
    agent_certificate: str
    router: str = ""
    router_certificate: str = ""


class RenewRequest(Struct):
    """From a machine whose certificate is still good: a signing request for the next one."""

    request: str


class Renewed(Struct):
    certificate: str
    authority: str
