"""Which addresses the platform calls for a user, and which never: those of its own network.

In: a host name and port from a user's URL.  Out: an address to connect to, or SourceError. The name is resolved once,
and that very address is connected to: a name that means something else a moment later changes nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from paas.sources.errors import SourceError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Addresses that carry an IPv4 address of somebody's choice: NAT64, 6to4, Teredo, IPv4-compatible.
CARRIERS = tuple(
    ipaddress.IPv6Network(text)
    for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")
)


@dataclass(frozen=True)
class Reach:
    """`networks` may be called although they are not public: an operator's own git server, for example."""

    networks: tuple[Network, ...] = ()

    def address(self, host: str, port: int) -> str:
        """Return the first address of `host` that may be called. Raises SourceError."""
        found = resolve(host, port)
        allowed = [one for one in found if self.allows(one)]
        if not allowed:
            raise SourceError(
                f"{host} leads to {found[0]}, an address inside the platform's own network. "
                "Use one that the internet has, or ask the operator to name the network in PAAS_SOURCE_NETWORKS.",
                id="source_forbidden",
            )
        return str(allowed[0])

    def own(self, host: str, port: int) -> bool:
        """Whether everything that `host` leads to is in a network that the operator has named."""
        return all(self.names(unwrapped(one)) for one in resolve(host, port))

    def allows(self, address: Address) -> bool:
        """Public and not this machine's own, or in a network that the operator has named."""
        plain = unwrapped(address)
        if self.names(plain):
            return True
        return is_public(plain) and not is_mine(plain)

    def names(self, address: Address) -> bool:
        return any(address.version == one.version and address in one for one in self.networks)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read `PAAS_SOURCE_NETWORKS`. Raises ValueError naming what is no network."""
    return tuple(ipaddress.ip_network(word) for word in text.replace(",", " ").split())


def resolve(host: str, port: int) -> list[Address]:
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SourceError(f"The name {host} leads to no address ({error}).") from error
    texts: Iterable[str] = (str(row[4][0]).partition("%")[0] for row in rows)
    return [ipaddress.ip_address(text) for text in dict.fromkeys(texts)]


def unwrapped(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_public(address: Address) -> bool:
    """An address of the internet, for one listener, that hides no other address."""
    if address.is_multicast or not address.is_global:
        return False
    return not any(address.version == 6 and address in one for one in CARRIERS)


def is_mine(address: Address) -> bool:
    """Whether it is one of this machine's own: only those can be bound to."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True
