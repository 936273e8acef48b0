"""Which way leads to which peer: a plain route on the LAN, a VXLAN tunnel, or WireGuard.

In: the mode, the peers, this host's addresses and routes.  Out: one `Way` per peer, or a sentence why there is none.
Both ends decide alike, each by what it knows of the other: on the same LAN a route, else a tunnel.
"""

from __future__ import annotations

import bisect
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path

from runtime.container.port import EngineError
from runtime.model import Peer, Struct
from runtime.network.rules import Names, Neighbour

ROUTES = Path("/proc/net/route")
_LARGEST = 8  # bits of prefix
_NO_UNDERLAY = (
    "This host has no address that its peers could reach: it has no default route. Set PAAS_AGENT_UNDERLAY."
)
_TEST_NET = ("192.0.2.1", 9)  # RFC 5737; connecting a datagram socket sends nothing


class Mode(StrEnum):
    AUTO = "auto"
    ROUTES = "routes"
    VXLAN = "vxlan"
    WIREGUARD = "wireguard"
    NONE = "none"


class Way(Struct):
    """How one peer's subnet is reached. `interface`: what its packets come and go by."""

    host: str
    subnet: str
    address: str
    by: Mode
    interface: str
    public_key: str = ""

    @property
    def gateway(self) -> str:
        """The peer's own address inside its subnet, which no container has."""
        return first_address(self.subnet)


class Here(Struct):
    """This host. `routes` is the text of /proc/net/route; `wireguard`: it has a key and a kernel for it."""

    underlay: str
    subnet: str
    routes: str
    wireguard: bool


class Plan(Struct):
    """The ways that can be had, and a sentence for each peer without one."""

    ways: tuple[Way, ...] = ()
    problems: tuple[str, ...] = ()


def plan(mode: Mode, peers: Iterable[Peer], here: Here, names: Names) -> Plan:
    """Find the way to each other host; one that cannot be reached does not keep the others from being joined. Pure."""
    others = [peer for peer in peers if peer.subnet != here.subnet]
    if mode is Mode.NONE or not others:
        return Plan()
    if not here.underlay:
        return Plan(problems=(_NO_UNDERLAY,))
    ways: list[Way] = []
    problems: list[str] = []
    taken = [("this host", ipaddress.IPv4Network(here.subnet))]
    for peer in others:
        try:
            taken.append((peer.host, check_subnet(peer, taken)))
            ways.append(_way(mode, peer, here, names))
        except EngineError as error:
            problems.append(str(error))
    return Plan(ways=tuple(ways), problems=tuple(problems))


def check_subnet(peer: Peer, taken: Iterable[tuple[str, ipaddress.IPv4Network]]) -> ipaddress.IPv4Network:
    """Return a peer's subnet. Raises EngineError when it is malformed or another host has some of its addresses."""
    try:
        address, network = ipaddress.IPv4Address(peer.address), ipaddress.IPv4Network(peer.subnet)
    except ValueError as error:
        raise EngineError(f"Host {peer.host} cannot be a peer: {error}.") from error
    if network.prefixlen < _LARGEST or network.is_loopback or address in network:
        raise EngineError(
            f"Host {peer.host} cannot be a peer: {network} with {address} is no subnet of containers."
        )
    for name, other in taken:
        if network.overlaps(other):
            raise EngineError(
                f"Hosts {name} and {peer.host} share container addresses ({other}, {network}); "
                "give each host its own PAAS_AGENT_SUBNET."
            )
    return network


def _way(mode: Mode, peer: Peer, here: Here, names: Names) -> Way:
    interface, direct = route_to(here.routes, peer.address)
    if mode is Mode.AUTO:
        by = Mode.ROUTES if direct else Mode.VXLAN
        if by is Mode.VXLAN and here.wireguard and peer.public_key:
            by = Mode.WIREGUARD
    else:
        by = mode
    if by is Mode.ROUTES and not direct:
        raise EngineError(
            f"Host {peer.host} ({peer.address}) is not on this host's LAN, so plain routes cannot lead to it; "
            "set PAAS_AGENT_OVERLAY=vxlan, or auto."
        )
    if by is Mode.WIREGUARD and not peer.public_key:
        raise EngineError(
            f"Host {peer.host} has no WireGuard key; set PAAS_AGENT_OVERLAY=wireguard there too."
        )
    tunnels = {Mode.VXLAN: names.vxlan, Mode.WIREGUARD: names.wireguard}
    return Way(
        host=peer.host,
        subnet=str(ipaddress.IPv4Network(peer.subnet)),
        address=peer.address,
        by=by,
        interface=tunnels.get(by, interface),
        public_key=peer.public_key,
    )


def route_to(routes: str, address: str) -> tuple[str, bool]:
    """Return the interface towards an address and whether it is on that LAN itself, by /proc/net/route. Pure."""
    wanted, best, found = int(ipaddress.IPv4Address(address)), -1, ("", False)
    for line in routes.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8:
            continue
        destination, gateway, mask = (_number(fields[column]) for column in (1, 2, 7))
        if wanted & mask == destination and mask > best:
            best, found = mask, (fields[0], gateway == 0)
    return found


def _number(text: str) -> int:
    """The kernel prints addresses as the host's integers of bytes in network order."""
    return int(ipaddress.IPv4Address(bytes(reversed(bytes.fromhex(text)))))


def neighbours(ways: Sequence[Way]) -> tuple[Neighbour, ...]:
    """Return the peers as the firewall sees them. Pure."""
    return tuple(
        Neighbour(
            subnet=way.subnet,
            interface=way.interface,
            source=way.address if way.by is Mode.ROUTES else way.gateway,
            underlay=way.address,
        )
        for way in ways
    )


def first_address(subnet: str) -> str:
    return str(ipaddress.IPv4Network(subnet)[0])


class Subnets:
    """The peers' subnets, for looking up many addresses; they share none."""

    def __init__(self, ways: Iterable[Way]) -> None:
        networks = (ipaddress.IPv4Network(way.subnet) for way in ways)
        self._ranges = sorted((int(one[0]), int(one[-1])) for one in networks)
        self._firsts = [first for first, _ in self._ranges]

    def has_container(self, address: str) -> bool:
        """Tell whether a container of a peer may have this address; the first of a subnet is the peer's own."""
        try:
            number = int(ipaddress.IPv4Address(address))
        except ValueError:
            return False
        place = bisect.bisect_right(self._firsts, number) - 1
        return place >= 0 and self._ranges[place][0] < number <= self._ranges[place][1]


def mac_of(address: str) -> bytes:
    """Return the MAC address of a host's end of the VXLAN: locally administered, and known to all without asking."""
    return b"\x0a\x58" + ipaddress.IPv4Address(address).packed


def outgoing_address() -> str:
    """Return the address of the interface with the default route, '' without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_TEST_NET)
        except OSError:
            return ""
        address: str = probe.getsockname()[0]
        return address
