"""The firewall of one platform, as nftables text.

In: names, subnet, blocked addresses, and which container has which address.  Out: one table, and element changes.
The rules do not grow with the apps: each app is a number (a packet mark), `owner_of` gives the sender's, and
`members` says whether the receiver has the same. The host's own addresses need no list: whatever is addressed to
one of them arrives at `input`.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable

from runtime.model import Struct

METADATA = "169.254.169.254"
_REJECT = "reject with icmpx type admin-prohibited"


class Names(Struct):
    """What a tag becomes: names that no other platform of this machine has."""

    table: str
    veth: str


class Member(Struct):
    """A container with an address. `owner` 0 talks to no other container (builds)."""

    interface: str
    address: str
    owner: int


def names_of(tag: str) -> Names:
    """Interface names have 15 characters, and `v12ab34*` must not match another platform's: so a short hash."""
    short = hashlib.blake2s(tag.encode(), digest_size=3).hexdigest()
    return Names(table=f"paas_{re.sub(r'[^A-Za-z0-9_]', '_', tag)}", veth=f"v{short}")


def normalize(addresses: Iterable[str]) -> tuple[str, ...]:
    """Check and merge IPv4 networks; IPv6 ones are left out, as containers have no IPv6. Raises ValueError."""
    networks = [ipaddress.ip_network(address, strict=False) for address in addresses]
    fours = [network for network in networks if isinstance(network, ipaddress.IPv4Network)]
    return tuple(str(network) for network in ipaddress.collapse_addresses(fours))


def render_table(
    names: Names,
    subnet: str,
    blocked: tuple[str, ...],
    nameservers: tuple[str, ...],
    members: tuple[Member, ...],
) -> str:
    """Return commands that replace the whole table in one transaction; connections are not cut."""
    veth = f'"{names.veth}*"'
    return f"""
add table inet {names.table}
delete table inet {names.table}
table inet {names.table} {{
  set blocked {{ type ipv4_addr; flags interval; {_elements(normalize((*blocked, METADATA)))} }}
  set nameservers {{ type ipv4_addr; {_elements(nameservers)} }}
  set senders {{ type ifname . ipv4_addr; {_elements(_sender(m) for m in members)} }}
  map owner_of {{ type ipv4_addr : mark; {_elements(_owner(m) for m in members if m.owner)} }}
  set members {{ type mark . ipv4_addr; {_elements(_member(m) for m in members if m.owner)} }}

  chain spoofing {{
    type filter hook prerouting priority raw; policy accept;
    iifname {veth} meta nfproto ipv6 drop
    iifname {veth} iifname . ip saddr != @senders drop
  }}
  chain to_host {{
    type filter hook input priority filter; policy accept;
    iifname != {veth} accept
    ct state established,related accept
    ip daddr @nameservers meta l4proto {{ tcp, udp }} th dport 53 accept
    {_REJECT}
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname {veth} jump from_container
    oifname {veth} jump to_container
  }}
  chain from_container {{
    ct state established,related accept
    ct state invalid drop
    oifname {veth} jump between
    ip daddr @nameservers meta l4proto {{ tcp, udp }} th dport 53 accept
    ip daddr @blocked {_REJECT}
    ip daddr {subnet} {_REJECT}
    accept
  }}
  chain between {{
    meta mark set 0
    meta mark set ip saddr map @owner_of
    meta mark . ip daddr @members meta mark set 0 accept
    {_REJECT}
  }}
  chain to_container {{
    ct state established,related accept
    drop
  }}
  chain leaving {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {subnet} oifname != {veth} masquerade
  }}
}}
"""


def render_join(names: Names, member: Member) -> str:
    """Return the commands that let a container talk."""
    return "".join(f"add element inet {names.table} {change}\n" for change in _changes(member))


def render_leave(names: Names, member: Member) -> str:
    """Return the commands that take it out again."""
    changes = [change.replace(f" : {member.owner}", "") for change in _changes(member)]
    return "".join(f"delete element inet {names.table} {change}\n" for change in changes)


def render_removal(names: Names) -> str:
    return f"add table inet {names.table}\ndelete table inet {names.table}\n"


def _changes(member: Member) -> list[str]:
    changes = [f"senders {{ {_sender(member)} }}"]
    if member.owner:
        changes += [f"owner_of {{ {_owner(member)} }}", f"members {{ {_member(member)} }}"]
    return changes


def _sender(member: Member) -> str:
    return f'"{member.interface}" . {member.address}'


def _owner(member: Member) -> str:
    return f"{member.address} : {member.owner}"


def _member(member: Member) -> str:
    return f"{member.owner} . {member.address}"


def _elements(items: Iterable[str]) -> str:
    joined = ", ".join(items)
    return f"elements = {{ {joined} }}" if joined else ""
