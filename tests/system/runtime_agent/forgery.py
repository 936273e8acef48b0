"""Packets with a source of one's choice, and a spy that counts which of them a host's firewall lets through.

In: addresses.  Out: bytes for a raw socket (RFC 791, 768, 7348), and a number.
"""

from __future__ import annotations

import ipaddress
import json
import struct

from two_hosts import SimulatedHost

PORT = 9  # discard
SPY = "inet spy"
SEND = (
    "import socket, sys\n"
    "one = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)\n"
    "one.sendto(bytes.fromhex(sys.argv[1]), (sys.argv[2], 0))\n"
)


def packet(source: str, target: str, payload: bytes = b"x", port: int = PORT) -> bytes:
    """An IPv4 packet with a UDP datagram (without checksum, which UDP allows)."""
    datagram = struct.pack(">HHHH", 40000, port, 8 + len(payload), 0) + payload
    addresses = ipaddress.IPv4Address(source).packed + ipaddress.IPv4Address(target).packed
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(datagram), 1, 0, 64, 17, 0) + addresses
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return head[:10] + struct.pack(">H", checksum) + head[12:] + datagram


def in_vxlan(inner: bytes, source: str, target: str, macs: tuple[bytes, bytes], network: int) -> bytes:
    frame = macs[0] + macs[1] + b"\x08\x00" + inner
    header = b"\x08\0\0\0" + struct.pack(">I", network << 8)
    return packet(source, target, header + frame, 4789)


def spy(host: SimulatedHost, address: str) -> None:
    """Count what goes to a container's discard port, behind the platform's own rules."""
    rule = f"ip daddr {address} udp dport {PORT} counter"
    host.inside("nft", f"add table {SPY}; flush table {SPY}")
    host.inside("nft", f"add chain {SPY} seen {{ type filter hook forward priority 100; }}")
    host.inside("nft", f"add rule {SPY} seen {rule}")


def seen(host: SimulatedHost) -> int:
    listed = json.loads(host.inside("nft", "-j", "list", "chain", *SPY.split(), "seen"))["nftables"]
    rule = next(one["rule"] for one in listed if "rule" in one)
    count: int = next(part["counter"]["packets"] for part in rule["expr"] if "counter" in part)
    return count
