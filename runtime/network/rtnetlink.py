"""The few rtnetlink requests a container network needs: veth pair, tunnel, address, route, neighbour, link up.

In: names, IPv4 addresses, descriptors.  Out: the kernel has done it; OSError with its error number otherwise.
Written out because it takes 1 ms where the ip command takes 25 and pyroute2 10, plus half a second to import.
Formats: rtnetlink(7), linux/rtnetlink.h, linux/if_link.h, linux/veth.h.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from typing import Self

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")

_REQUEST, _ACK, _REPLACE, _EXCL, _CREATE = 0x1, 0x4, 0x100, 0x200, 0x400
_ERROR, _DONE = 2, 3
_NEWLINK, _DELLINK, _NEWADDR, _NEWROUTE, _DELROUTE, _NEWNEIGH, _DELNEIGH = 16, 17, 20, 24, 25, 28, 29
_UP = 1
_TABLE_MAIN, _PROTO_STATIC, _UNIVERSE, _SCOPE_LINK, _UNICAST = 254, 4, 0, 253, 1
_PROTO_PEERS, _SCOPE_NOWHERE, _ONLINK = 117, 255, 4  # a protocol number of our own marks routes to peers
_PERMANENT, _SELF = 0x80, 0x02
_NESTED = 0x8000
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 4, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_NDA_DST, _NDA_LLADDR = 1, 2
_VXLAN_ID, _VXLAN_LOCAL, _VXLAN_LEARNING, _VXLAN_PORT = 1, 4, 7, 15


def attribute(kind: int, data: bytes) -> bytes:
    """Encode one attribute, padded to four bytes."""
    length = _ATTRIBUTE.size + len(data)
    return _ATTRIBUTE.pack(length, kind) + data + b"\0" * (-length % 4)


class Netlink:
    """A route socket of the network namespace that the calling thread is in. Use it as a context manager."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._sequence = 0
        self._socket.settimeout(10)
        self._socket.bind((0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def add_veth(self, name: str, peer: str, peer_netns: int, mtu: int) -> None:
        """Make a veth pair: `name` here, `peer` in the namespace of the descriptor `peer_netns`."""
        size = attribute(_IFLA_MTU, struct.pack("=I", mtu))
        other = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, _text(peer))
        other += size + attribute(_IFLA_NET_NS_FD, struct.pack("=I", peer_netns))
        data = attribute(_INFO_DATA | _NESTED, attribute(_VETH_PEER | _NESTED, other))
        info = attribute(_IFLA_LINKINFO | _NESTED, attribute(_INFO_KIND, b"veth") + data)
        body = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, _text(name)) + size + info
        self._request(_NEWLINK, _CREATE | _EXCL, body)

    def add_vxlan(self, name: str, vni: int, local: str, port: int, mac: bytes, mtu: int) -> None:
        """Make a VXLAN device that learns nothing: `replace_forwarding` says which host has which MAC address."""
        data = attribute(_VXLAN_ID, struct.pack("=I", vni)) + attribute(_VXLAN_LOCAL, _packed(local))
        data += attribute(_VXLAN_LEARNING, b"\0") + attribute(_VXLAN_PORT, struct.pack(">H", port))
        self._add_link(name, b"vxlan", data, mtu, attribute(_IFLA_ADDRESS, mac))

    def add_wireguard(self, name: str, mtu: int) -> None:
        """Make a WireGuard device. OSError EOPNOTSUPP: the kernel has none."""
        self._add_link(name, b"wireguard", b"", mtu, b"")

    def _add_link(self, name: str, kind: bytes, data: bytes, mtu: int, more: bytes) -> None:
        info = attribute(_INFO_KIND, kind) + (attribute(_INFO_DATA | _NESTED, data) if data else b"")
        body = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, _text(name)) + more
        body += attribute(_IFLA_MTU, struct.pack("=I", mtu)) + attribute(_IFLA_LINKINFO | _NESTED, info)
        self._request(_NEWLINK, _CREATE | _EXCL, body)

    def set_up(self, index: int) -> None:
        self._request(_NEWLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, _UP, _UP))

    def delete_link(self, index: int) -> None:
        self._request(_DELLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0))

    def add_address(self, index: int, address: str) -> None:
        """Give a link an address of its own (/32), without a route to any neighbour."""
        packed = ipaddress.IPv4Address(address).packed
        body = _ADDRESS.pack(socket.AF_INET, 32, 0, _UNIVERSE, index)
        body += attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
        self._request(_NEWADDR, _CREATE | _EXCL, body)

    def add_route(self, index: int, destination: str | None, gateway: str | None = None) -> None:
        """Route one address (None: everything) over a link, directly or by a gateway."""
        scope = _UNIVERSE if gateway else _SCOPE_LINK
        length = 32 if destination else 0
        body = _ROUTE.pack(
            socket.AF_INET, length, 0, 0, _TABLE_MAIN, _PROTO_STATIC, scope, _UNICAST, 0
        ) + attribute(_RTA_OIF, struct.pack("=i", index))
        if destination:
            body += attribute(_RTA_DST, ipaddress.IPv4Address(destination).packed)
        if gateway:
            body += attribute(_RTA_GATEWAY, ipaddress.IPv4Address(gateway).packed)
        self._request(_NEWROUTE, _CREATE | _EXCL, body)

    def replace_route(self, subnet: str, gateway: str | None, index: int | None = None) -> None:
        """Route a peer's subnet by a gateway on the LAN, or over a tunnel (`index`), there with or without one."""
        body = self._subnet_route(
            subnet, _SCOPE_LINK if gateway is None else _UNIVERSE, _ONLINK if index else 0
        )
        body += attribute(_RTA_GATEWAY, _packed(gateway)) if gateway else b""
        body += attribute(_RTA_OIF, struct.pack("=i", index)) if index else b""
        self._request(_NEWROUTE, _CREATE | _REPLACE, body)

    def delete_route(self, subnet: str) -> None:
        """Delete the route that `replace_route` has made, no other."""
        self._request(_DELROUTE, 0, self._subnet_route(subnet, _SCOPE_NOWHERE, 0))

    def _subnet_route(self, subnet: str, scope: int, flags: int) -> bytes:
        network = ipaddress.IPv4Network(subnet)
        length, table = network.prefixlen, _TABLE_MAIN
        head = _ROUTE.pack(socket.AF_INET, length, 0, 0, table, _PROTO_PEERS, scope, _UNICAST, flags)
        return head + attribute(_RTA_DST, network.network_address.packed)

    def replace_neighbour(self, index: int, address: str, mac: bytes) -> None:
        """Tell the MAC address of a neighbour for good; it is never asked for."""
        head = _NEIGHBOUR.pack(socket.AF_INET, index, _PERMANENT, 0, 0)
        body = head + attribute(_NDA_DST, _packed(address)) + attribute(_NDA_LLADDR, mac)
        self._request(_NEWNEIGH, _CREATE | _REPLACE, body)

    def delete_neighbour(self, index: int, address: str) -> None:
        head = _NEIGHBOUR.pack(socket.AF_INET, index, 0, 0, 0)
        self._request(_DELNEIGH, 0, head + attribute(_NDA_DST, _packed(address)))

    def replace_forwarding(self, index: int, mac: bytes, address: str) -> None:
        """Tell a VXLAN device which host a MAC address is at."""
        self._request(_NEWNEIGH, _CREATE | _REPLACE, self._forwarding(index, mac, address))

    def delete_forwarding(self, index: int, mac: bytes, address: str) -> None:
        self._request(_DELNEIGH, 0, self._forwarding(index, mac, address))

    def _forwarding(self, index: int, mac: bytes, address: str) -> bytes:
        head = _NEIGHBOUR.pack(socket.AF_BRIDGE, index, _PERMANENT, _SELF, 0)
        return head + attribute(_NDA_DST, _packed(address)) + attribute(_NDA_LLADDR, mac)

    def _request(self, kind: int, flags: int, body: bytes) -> None:
        self._sequence += 1
        length = _HEADER.size + len(body)
        self._socket.send(_HEADER.pack(length, kind, _REQUEST | _ACK | flags, self._sequence, 0) + body)
        while True:
            data = self._socket.recv(65536)
            _, answer, _, sequence, _ = _HEADER.unpack_from(data)
            if sequence == self._sequence and answer in (_ERROR, _DONE):
                break
        number = -struct.unpack_from("=i", data, _HEADER.size)[0]
        if number:
            raise OSError(number, f"rtnetlink request {kind}: {os.strerror(number)}")


def _text(name: str) -> bytes:
    return name.encode() + b"\0"


def _packed(address: str) -> bytes:
    return ipaddress.IPv4Address(address).packed
