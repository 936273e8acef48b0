"""The few rtnetlink requests a container network needs: veth pair, address, route, link up.

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

_REQUEST, _ACK, _EXCL, _CREATE = 0x1, 0x4, 0x200, 0x400
_ERROR, _DONE = 2, 3
_NEWLINK, _DELLINK, _NEWADDR, _NEWROUTE = 16, 17, 20, 24
_UP = 1
_TABLE_MAIN, _PROTO_STATIC, _UNIVERSE, _SCOPE_LINK, _UNICAST = 254, 4, 0, 253, 1
_NESTED = 0x8000
_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 3, 4, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5


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
