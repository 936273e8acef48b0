"""The firewall of one platform, as nftables text.

In: names, subnet, blocked addresses, and which container has which address.  Out: one table, and element changes.
The rules do not grow with the apps: each app is a number (a packet mark), `owner_of` gives the sender's, and
`members` says whom a number may reach: its own containers, and those of apps in the same networks. The host's own
addresses need no list: whatever is addressed to one of them arrives at `input`. Containers of other hosts are in the
same sets; both ends check, also what is open already: who has left a network is cut off.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Sequence

from runtime.model import Struct
from runtime.network import egress
from runtime.network.reach import Reach

METADATA = "169.254.169.254"
GATEWAY = "169.254.1.1"  # the host, as its containers see it
VXLAN_PORT = 4789
_FORGER = re.compile(r'"(\S+)"[^",]* counter packets (\d+) bytes')
_REFUSE = "goto refuse"
# The address of a container that is gone has no route: without this its requests would leave by the default route.
_NOBODY = "reject with icmpx type host-unreachable"


class Names(Struct):
    """What a tag becomes: names that no other platform of this machine has."""

    table: str
    veth: str

    @property
    def vxlan(self) -> str:
        return f"x{self.veth[1:]}"

    @property
    def wireguard(self) -> str:
        return f"w{self.veth[1:]}"


class Member(Struct):
    """A container with an address. `owner` 0 talks to no other container (builds)."""

    interface: str
    address: str
    owner: int


class Neighbour(Struct):
    """Another host: packets of its containers' `subnet` come in by `interface` only. Its own processes (routers,
    health checks) speak from `source` and may reach containers; `underlay` is where the host itself is."""

    subnet: str
    interface: str
    source: str
    underlay: str


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
    """Return commands that replace the whole table in one transaction; connections are not cut.

    No name may be a word of nft's own language, which grows: vxlan is one since 1.1 (Debian 13).
    """
    veth, tunnels = f'"{names.veth}*"', f'{{ "{names.vxlan}", "{names.wireguard}" }}'
    return f"""
add table inet {names.table}
delete table inet {names.table}
table inet {names.table} {{
  set blocked {{ type ipv4_addr; flags interval; {_elements(normalize((*blocked, METADATA)))} }}
  set nameservers {{ type ipv4_addr; {_elements(nameservers)} }}
  set senders {{ type ifname . ipv4_addr; {_elements(_sender(m) for m in members)} }}
  map owner_of {{ type ipv4_addr : mark; {_elements(_owner(m) for m in members if m.owner)} }}
  set members {{ type mark . ipv4_addr; {_elements(_member(m) for m in members if m.owner)} }}
  set peers {{ type ipv4_addr; flags interval; }}
  set arrivals {{ type ifname . ipv4_addr; flags interval; }}
  set peer_sources {{ type ipv4_addr; }}
  set underlays {{ type ipv4_addr; }}
  set forgers {{ type ifname; size 4096; flags dynamic, timeout; timeout 1h; }}{egress.SETS}

  chain spoofing {{
    type filter hook prerouting priority raw; policy accept;
    iifname {veth} meta nfproto ipv6 drop
    iifname {veth} iifname . ip saddr != @senders update @forgers {{ iifname counter }} drop
    iifname != {veth} iifname != "lo" ip saddr {subnet} drop
    ip saddr @peers iifname . ip saddr != @arrivals drop
    iifname {tunnels} ip saddr != @peers drop
    iifname {tunnels} meta nfproto ipv6 drop
    udp dport {VXLAN_PORT} jump encapsulated
  }}
  chain encapsulated {{ }}
  chain refuse {{
    {egress.REFUSE}
  }}
  chain name_queries {{
    type nat hook prerouting priority dstnat; policy accept;
    iifname {veth} ip daddr {GATEWAY} meta l4proto {{ tcp, udp }} th dport 53 jump to_names
  }}
  chain to_names {{ }}
  chain names_port {{ }}
  chain to_host {{
    type filter hook input priority filter; policy accept;
    iifname {tunnels} jump to_host_from_peers
    iifname != {veth} accept
    ct state established,related accept
    ip daddr {GATEWAY} jump names_port
    {egress.JUDGED_AT_HOST}
    ip daddr @nameservers meta l4proto {{ tcp, udp }} th dport 53 accept
    {_REFUSE}
  }}
  chain to_host_from_peers {{
    ct state established,related accept
    ip saddr @peer_sources accept
    drop
  }}
  chain from_host {{
    type filter hook output priority filter; policy accept;
    ip daddr {subnet} oifname != {veth} {_NOBODY}
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    ip daddr {subnet} oifname != {veth} iifname != {veth} {_NOBODY}
    oifname {tunnels} tcp flags syn tcp option maxseg size set rt mtu
    iifname {tunnels} tcp flags syn tcp option maxseg size set rt mtu
    iifname {veth} jump from_container
    oifname {veth} jump to_container
    oifname {tunnels} iifname != {veth} drop
    iifname {tunnels} drop
  }}
  chain from_container {{
    {egress.ANSWERS}
    ct state invalid drop
    oifname {veth} jump between
    ip daddr @peers jump between
    {egress.ESTABLISHED}
    {egress.JUDGED}
    ip daddr @nameservers meta l4proto {{ tcp, udp }} th dport 53 accept
    ip daddr @underlays {_REFUSE}
    ip daddr @blocked {_REFUSE}
    ip daddr {subnet} {_REFUSE}
    accept
  }}
  chain between {{
    meta mark set 0
    meta mark set ip saddr map @owner_of
    meta mark . ip daddr @members meta mark set 0 accept
    {_REFUSE}
  }}
  chain to_container {{
    {egress.ANSWERS}
    ip saddr @peer_sources accept
    ip saddr @peers jump between
    drop
  }}
  chain leaving {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {subnet} oifname != {veth} ip daddr != @peers masquerade
  }}
}}
"""  # noqa: S608 (it is no SQL)


def render_join(names: Names, member: Member) -> str:
    """Return the commands that let a container talk."""
    return "".join(f"add element inet {names.table} {change}\n" for change in _changes(member))


def render_leave(names: Names, member: Member) -> str:
    """Return the commands that take it out again."""
    changes = [change.replace(f" : {member.owner}", "") for change in _changes(member)]
    return "".join(f"delete element inet {names.table} {change}\n" for change in changes)


def render_neighbours(names: Names, neighbours: Sequence[Neighbour], vni: int) -> str:
    """Return the commands that make exactly these hosts our peers. `vni` 0: no VXLAN packet is for us."""
    table = f"inet {names.table}"
    sets = {
        "peers": [one.subnet for one in neighbours],
        "arrivals": [f'"{one.interface}" . {one.subnet}' for one in neighbours],
        "peer_sources": [one.source for one in neighbours],
        "underlays": list(dict.fromkeys(one.underlay for one in neighbours)),
    }
    lines = [f"flush set {table} {name}" for name in sets]
    lines += [f"add element {table} {name} {{ {', '.join(items)} }}" for name, items in sets.items() if items]
    lines.append(f"flush chain {table} encapsulated")
    if vni:  # other platforms of this machine use the same port: the identifier in the header tells ours
        lines.append(f"add rule {table} encapsulated @th,96,24 {vni} ip saddr != @underlays drop")
    return "".join(f"{line}\n" for line in lines)


def render_reach(names: Names, gone: Reach, new: Reach) -> str:
    """Return the commands that take addresses and ways out of the sets, and put others in."""
    table, lines = f"inet {names.table}", []
    for verb, those in (("delete", gone), ("add", new)):
        owners = [one if verb == "delete" else f"{one} : {mark}" for one, mark in those.owners.items()]
        members = [f"{mark} . {address}" for mark, address in sorted(those.pairs)]
        for name, items in (("owner_of", owners), ("members", members)):
            lines += [f"{verb} element {table} {name} {{ {', '.join(items)} }}\n"] if items else []
    return "".join(lines)


def render_names(names: Names, port: int) -> str:
    """Return the commands that lead containers' DNS queries to a port of this host's 169.254.1.1."""
    table, lines = f"inet {names.table}", []
    for chain in ("to_names", "names_port"):
        lines.append(f"flush chain {table} {chain}\n")
    for kind in ("udp", "tcp"):
        lines.append(f"add rule {table} to_names meta l4proto {kind} redirect to :{port}\n")
        lines.append(f"add rule {table} names_port {kind} dport {port} accept\n")
    return "".join(lines)


def render_forgers(names: Names) -> str:
    """Return the command that lists who has sent under another's address, for `parse_forgers`."""
    return f"list set inet {names.table} forgers\n"


def parse_forgers(listing: str) -> dict[str, int]:
    """Return how many packets of each interface were dropped. Pure."""
    return {name: int(packets) for name, packets in _FORGER.findall(listing)}


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
