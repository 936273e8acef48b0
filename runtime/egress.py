"""Where an app may go besides its own instances: rules as people write them, and what they mean together.

In: texts such as `203.0.113.0/24:443/tcp` or `*.example.com`.  Out: `Egress` values, and boxes apart for the firewall.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Annotated, Literal

import msgspec

MAX_EGRESS_RULES = 100
MAX_NAME_PORTS = 32  # a name's ports are single elements of a set, for each of its addresses
ANYWHERE = "0.0.0.0/0"
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17}
ALL_PORTS = (0, 65535)
_TEXT = re.compile(r"(?P<to>[^:/\s]+(?:/\d{1,2})?)(?::(?P<ports>[0-9,-]+))?(?:/(?P<protocol>[A-Za-z]+))?\Z")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:\*\.)?(?:{_LABEL}\.)+{_LABEL}\Z")
_FORM = (
    "NETWORK or NAME, then :PORTS and /PROTOCOL where wanted, as in 203.0.113.0/24:443, *.example.com:443 "
    "or 198.51.100.7:53/udp"
)

Edge = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Span = tuple[int, int]


class EgressRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`to`: an IPv4 network, a DNS name, or `*.NAME` for all names below one. `ports`: first and last of each range,
    () for all. `protocol` is `any`, `tcp`, `udp` or `icmp`."""

    to: str
    protocol: Literal["any", "tcp", "udp", "icmp"] = "any"
    ports: tuple[tuple[Edge, Edge], ...] = ()

    @property
    def network(self) -> ipaddress.IPv4Network | None:
        """The network it speaks of; None for a name."""
        return _read_network(self.to)


class Egress(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that may be reached. Without rules: nothing."""

    rules: tuple[EgressRule, ...] = ()


class Box(msgspec.Struct, frozen=True, order=True):
    """Addresses, protocols and ports, each from first to last."""

    addresses: Span
    protocols: Span
    ports: Span


def parse_egress_rule(text: str) -> EgressRule:
    """Read a rule. Ports without a protocol are TCP's; `*` is every address. Raises ValueError with what to write."""
    found = _TEXT.match(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no egress rule. Write {_FORM}.")
    ports = tuple(_read_ports(text, part) for part in (found["ports"] or "").split(",") if part)
    protocol = (found["protocol"] or ("tcp" if ports else "any")).lower()
    if protocol not in ("any", *PROTOCOLS):
        raise ValueError(
            f"{text!r}: {protocol} is no protocol that a rule can name. Take tcp, udp, icmp or any."
        )
    if ports and protocol not in ("tcp", "udp"):
        raise ValueError(f"{text!r}: only tcp and udp have ports.")
    to = _read_target(text, found["to"])
    rule = EgressRule(to=to, protocol=protocol, ports=_merge(ports))  # type: ignore[arg-type]
    if rule.network is None and count_ports(rule) > MAX_NAME_PORTS:
        raise ValueError(f"{text!r}: a name can have {MAX_NAME_PORTS} ports, or all of them.")
    return rule


def show_egress_rule(rule: EgressRule) -> str:
    """Return the text that `parse_egress_rule` reads as this rule."""
    ports = ",".join(str(first) if first == last else f"{first}-{last}" for first, last in rule.ports)
    return rule.to + (f":{ports}" if ports else "") + ("" if rule.protocol == "any" else f"/{rule.protocol}")


def count_ports(rule: EgressRule) -> int:
    return sum(last - first + 1 for first, last in rule.ports)


def matches(rule: EgressRule, name: str) -> bool:
    """Tell whether a rule speaks of a DNS name. `*.example.com` is everything below example.com, at any depth."""
    if rule.network is not None:
        return False
    return name.endswith(rule.to[1:]) if rule.to.startswith("*.") else name == rule.to


def boxes(rules: Iterable[EgressRule]) -> tuple[Box, ...]:
    """Return what the rules of networks allow, as boxes that do not overlap: the kernel's sets take no others."""
    flat = [(_span(network), rule) for rule in rules if (network := rule.network) is not None]
    cuts = sorted({edge for (first, last), _ in flat for edge in (first, last + 1)})
    pieces: list[tuple[Span, tuple[tuple[Span, Span], ...]]] = []
    for first, after in pairwise(cuts):
        there = _allowed([rule for (low, high), rule in flat if low <= first and after - 1 <= high])
        if pieces and there == pieces[-1][1] and pieces[-1][0][1] + 1 == first:
            pieces[-1] = ((pieces[-1][0][0], after - 1), there)
        elif there:
            pieces.append(((first, after - 1), there))
    return tuple(Box(span, *one) for span, there in pieces for one in there)


def _allowed(rules: Sequence[EgressRule]) -> tuple[tuple[Span, Span], ...]:
    """Return protocols with ports, disjoint."""
    if any(rule.protocol == "any" for rule in rules):
        return (((0, 255), ALL_PORTS),)
    found: list[tuple[Span, Span]] = []
    for name, number in PROTOCOLS.items():
        spans = [span for rule in rules if rule.protocol == name for span in rule.ports or (ALL_PORTS,)]
        found += [((number, number), span) for span in _merge(spans)]
    return tuple(found)


def _merge(spans: Iterable[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def _span(network: ipaddress.IPv4Network) -> Span:
    return int(network.network_address), int(network.broadcast_address)


def _read_target(text: str, to: str) -> str:
    if to == "*":
        return ANYWHERE
    if (network := _read_network(to)) is not None:
        return str(network)
    name = to.lower().rstrip(".")
    if re.fullmatch(r"[0-9./]+", name) or not _NAME.match(name) or len(name) > 253:
        raise ValueError(f"{text!r}: {to!r} is neither an IPv4 network nor a DNS name. Write {_FORM}.")
    return name


def _read_network(to: str) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network(to, strict=False)
    except ValueError:
        return None


def _read_ports(text: str, part: str) -> Span:
    first, _, last = part.partition("-")
    if not first.isdigit() or not (last or first).isdigit():
        raise ValueError(f"{text!r}: {part!r} is no port or range of ports such as 8000-8010.")
    span = int(first), int(last or first)
    if not 1 <= span[0] <= span[1] <= 65535:
        raise ValueError(f"{text!r}: ports are 1 to 65535, the smaller one first.")
    return span
