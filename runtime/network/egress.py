"""Egress rules as elements of the firewall's sets. However many apps have rules, the firewall's own rules are the same.

In: numbers, one for each set of rules in force, and who has which.  Out: nftables commands. Pure.

A packet: `egress_of` gives the number of its sender, `egress_N` and the `named` sets say where that number may go.
A connection that was let through carries the number (ct mark); `current` says whether its sender still has it. So
when rules change, open connections are judged once more, and only those that are still allowed go on.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

from runtime.container.port import Attempt
from runtime.egress import PROTOCOLS, Box, Egress, EgressRule, boxes
from runtime.model import Struct

TIMEOUTS = (
    30,
    86_400,
)  # seconds: an address is let through for as long as its name's answer holds, within these
_REFUSED_SIZE = 1024

_NETWORKS = "type mark . ipv4_addr . inet_proto . inet_service; flags interval;"
# TCP is refused by a reset: of ICMP errors the kernel sends an address six at once and then one a second, and whoever
# is owed the seventh waits for its time-out. It also ends a connection that was allowed once.
REFUSE = """meta l4proto tcp reject with tcp reset
    reject with icmpx type admin-prohibited"""
_ALLOW = "ct mark set meta mark meta mark set 0"
SETS = f"""
  set confined {{ type ipv4_addr; }}
  map egress_of {{ type ipv4_addr : mark; }}
  set current {{ type ipv4_addr . mark; }}
  set egress_0 {{ {_NETWORKS} }}
  set named {{ type mark . ipv4_addr; flags timeout; }}
  set named_protocols {{ type mark . ipv4_addr . inet_proto; flags timeout; }}
  set named_ports {{ type mark . ipv4_addr . inet_proto . inet_service; flags timeout; }}
  set refusals {{ type ipv4_addr; flags dynamic,timeout; timeout 1h; size 65535; }}
  set refused {{
    type ipv4_addr . ipv4_addr . inet_proto . inet_service; flags dynamic,timeout; timeout 1m; size {_REFUSED_SIZE};
  }}
  chain egress_rules {{
    meta mark set 0
    meta mark set ip saddr map @egress_of
    meta mark 0 goto egress_refused
    jump egress_networks
    meta mark 0 return
    meta mark . ip daddr @named {_ALLOW} return
    meta mark . ip daddr . meta l4proto @named_protocols {_ALLOW} return
    meta mark . ip daddr . meta l4proto . th dport @named_ports {_ALLOW} return
    meta mark set 0
    goto egress_refused
  }}
  chain egress_networks {{
    meta mark . ip daddr . meta l4proto . th dport @egress_0 {_ALLOW}
  }}
  chain egress_refused {{
    update @refusals {{ ip saddr counter }}
    update @refused {{ ip saddr . ip daddr . meta l4proto . th dport counter }}
    {REFUSE}
  }}"""

# Answers to who came in are not egress; a connection of the container's own is, for as long as it lasts.
ANSWERS = """ct state related accept
    ct state established ct direction reply accept"""
ESTABLISHED = """ct state established ip saddr != @confined accept
    ct state established ip saddr . ct mark @current accept"""
JUDGED = "ip saddr @confined jump egress_rules"
JUDGED_AT_HOST = "ip daddr @nameservers ip saddr @confined jump egress_rules"


class Confined(Struct):
    """A container whose rules have this number."""

    address: str
    number: int


class Named(Struct):
    """An address that stands for an allowed name, for `seconds` from now."""

    number: int
    address: str
    rule: EgressRule
    seconds: int


def render_confine(table: str, gone: Sequence[Confined], new: Sequence[Confined]) -> str:
    """Return the commands that free containers, and confine others."""
    text = ""
    for verb, those in (("delete", gone), ("add", new)):
        if those:
            plain = [one.address for one in those]
            valued = plain if verb == "delete" else [f"{one.address} : {one.number}" for one in those]
            text += _change(table, verb, "confined", plain)
            text += _change(table, verb, "egress_of", valued)
            text += _change(table, verb, "current", [f"{one.address} . {one.number}" for one in those])
    return text


def render_rules(table: str, serial: int, new: Mapping[int, Egress]) -> str:
    """Return the commands that put numbers' rules for networks in. Old ones stay: deleting one of 4000 takes 25 ms
    where adding takes 1, and nobody has their numbers any more."""
    return _change(table, "add", f"egress_{serial}", _elements(new))


def render_replacement(table: str, serial: int, in_force: Mapping[int, Egress]) -> str:
    """Return the commands that put a new set with these rules in place of the one before `serial`."""
    name, chain = f"egress_{serial}", f"inet {table} egress_networks"
    return (
        f"add set inet {table} {name} {{ {_NETWORKS} }}\n"
        + render_rules(table, serial, in_force)
        + f"flush chain {chain}\n"
        + f"add rule {chain} meta mark . ip daddr . meta l4proto . th dport @{name} {_ALLOW}\n"
        + f"delete set inet {table} egress_{serial - 1}\n"
    )


def count_elements(those: Mapping[int, Egress]) -> int:
    return len(_elements(those))


def render_flush(table: str) -> str:
    """Return the commands that forget who has rules."""
    return "".join(
        f"flush {kind} inet {table} {name}\n"
        for kind, name in (("set", "confined"), ("set", "current"), ("map", "egress_of"))
    )


def render_named(table: str, those: Iterable[Named]) -> str:
    """Return the commands that let numbers through to addresses for some time more.

    Adding what is there would leave its time as it was. So it is added, to be there surely, removed and added.
    """
    text = ""
    for one in those:
        name, keys = _named_keys(one)
        timed = [f"{key} timeout {one.seconds}s" for key in keys]
        for verb, elements in (("add", timed), ("delete", keys), ("add", timed)):
            text += _change(table, verb, name, elements)
    return text


def timeout_of(ttl: int) -> int:
    """Return how long an address is let through whose answer holds for `ttl` seconds."""
    return max(TIMEOUTS[0], min(ttl, TIMEOUTS[1]))


def read_attempts(document: object) -> tuple[Attempt, ...]:
    """Read libnftables' JSON of the sets `refusals` and `refused`."""
    return tuple(
        _attempt(element["elem"])
        for one in _sets(document)
        for element in one.get("elem", ())
        if "elem" in element
    )


def read_named(document: object) -> dict[str, list[str]]:
    """Read libnftables' JSON of the `named` sets: elements as text, with the time that they have left."""
    found: dict[str, list[str]] = {}
    for one in _sets(document):
        for element in one.get("elem", ()):
            body = element["elem"]
            key = " . ".join(str(part) for part in body["val"]["concat"])
            found.setdefault(one["name"], []).append(f"{key} timeout {max(1, body.get('expires', 1))}s")
    return found


def render_kept(table: str, kept: Mapping[str, Sequence[str]]) -> str:
    return "".join(_change(table, "add", name, elements) for name, elements in kept.items())


def _sets(document: object) -> list[dict]:  # type: ignore[type-arg]
    assert isinstance(document, dict)
    return [one["set"] for one in document["nftables"] if "set" in one]


def _attempt(body: dict) -> Attempt:  # type: ignore[type-arg]
    value, packets = body["val"], int(body.get("counter", {}).get("packets", 0))
    if isinstance(value, str):
        return Attempt(source=value, target="", protocol="", port=0, packets=packets)
    source, target, protocol, port = value["concat"]
    return Attempt(source=source, target=target, protocol=str(protocol), port=int(port), packets=packets)


def _named_keys(one: Named) -> tuple[str, list[str]]:
    start, rule = f"{one.number} . {one.address}", one.rule
    if rule.protocol == "any":
        return "named", [start]
    if not rule.ports:
        return "named_protocols", [f"{start} . {rule.protocol}"]
    ports = [port for first, last in rule.ports for port in range(first, last + 1)]
    return "named_ports", [f"{start} . {rule.protocol} . {port}" for port in ports]


def _elements(those: Mapping[int, Egress]) -> list[str]:
    return [_element(number, box) for number, egress in those.items() for box in boxes(egress.rules)]


def _element(number: int, box: Box) -> str:
    """Always with a range: nft 1.0.6 does not find an element without any when it is to be deleted."""
    first, last = (str(ipaddress.IPv4Address(edge)) for edge in box.addresses)
    addresses = first if first == last else f"{first}-{last}"
    protocol = next((name for name, at in PROTOCOLS.items() if box.protocols == (at, at)), "0-255")
    return f"{number} . {addresses} . {protocol} . {box.ports[0]}-{box.ports[1]}"


def _change(table: str, verb: str, name: str, elements: Sequence[str]) -> str:
    return f"{verb} element inet {table} {name} {{ {', '.join(elements)} }}\n" if elements else ""
