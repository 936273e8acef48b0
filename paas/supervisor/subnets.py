"""The containers' subnet and the agent's tag of one installation, so that several live on one machine.

In: the data folder, the machine's routes, the claims of other installations.  Out: a /18 and a short name.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from paas.supervisor.layout import Layout

POOLS = (IPv4Network("10.200.0.0/13"), IPv4Network("100.64.0.0/10"))
PREFIX = 18
CLAIMS = Path("/run/paas-subnets")


class NoSubnet(Exception):
    """Every subnet that could be given to the containers is in use."""


def tag(home: Path) -> str:
    """Return the name that marks this installation's interfaces, cgroups and firewall tables."""
    return "p" + hashlib.sha256(str(home).encode()).hexdigest()[:6]


def candidates(home: Path) -> Iterator[IPv4Network]:
    """Yield every subnet of the pools, beginning at a place that depends on the data folder."""
    for pool in POOLS:
        subnets = list(pool.subnets(new_prefix=PREFIX))
        start = int(hashlib.sha256(str(home).encode()).hexdigest(), 16) % len(subnets)
        yield from subnets[start:] + subnets[:start]


def choose(home: Path, claimed: Iterable[IPv4Network], routed: Iterable[IPv4Network]) -> IPv4Network:
    """Return the first candidate that nobody has claimed and no route of the machine touches."""
    taken = [*claimed, *routed]
    for subnet in candidates(home):
        if not any(subnet.overlaps(other) for other in taken):
            return subnet
    raise NoSubnet(
        f"Every /{PREFIX} in {' and '.join(map(str, POOLS))} overlaps a route of this machine or belongs to "
        "another installation; set PAAS_AGENT_SUBNET to addresses that are free, such as 10.42.0.0/18."
    )


def parse_routes(table: str) -> list[IPv4Network]:
    """Return the destinations in the text of /proc/net/route, the default route left out."""
    routes = []
    for line in table.splitlines()[1:]:
        columns = line.split()
        address, mask = (int.from_bytes(bytes.fromhex(columns[index]), "little") for index in (1, 7))
        if mask:
            routes.append(IPv4Network((IPv4Address(address), mask.bit_count())))
    return routes


def claim(layout: Layout, claims: Path = CLAIMS) -> str:
    """Return this installation's subnet and mark it as taken until `release`. The one of the last run comes first."""
    remembered = layout.home / "subnet"
    with _locked(claims):
        others, own = _claims(claims, layout.home)
        previous = IPv4Network(remembered.read_text().strip()) if remembered.exists() else None
        # Its own leftovers may still be routed after a crash: only other claims speak against it.
        if previous is not None and not any(previous.overlaps(other) for other in others):
            subnet = previous
        else:
            routed = parse_routes(Path("/proc/net/route").read_text())
            subnet = choose(layout.home, others, routed)
        for stale in own:
            stale.unlink()
        (claims / str(subnet).replace("/", "-")).symlink_to(layout.home)
    remembered.write_text(f"{subnet}\n")
    return str(subnet)


def release(layout: Layout, claims: Path = CLAIMS) -> None:
    """Give the subnet back."""
    if not claims.is_dir():
        return
    with _locked(claims):
        for link in _claims(claims, layout.home)[1]:
            link.unlink()
        with contextlib.suppress(OSError):
            claims.rmdir()


def _claims(claims: Path, home: Path) -> tuple[list[IPv4Network], list[Path]]:
    """Return the subnets of the other installations that still exist, and the links of this one."""
    others, own = [], []
    for link in claims.iterdir():
        owner = link.readlink()
        if owner == home:
            own.append(link)
        elif owner.is_dir():
            others.append(IPv4Network(link.name.replace("-", "/")))
        else:
            link.unlink()
    return others, own


@contextlib.contextmanager
def _locked(claims: Path) -> Iterator[None]:
    """Hold the lock of the claims folder, which another installation may remove at any moment."""
    while True:
        claims.mkdir(mode=0o755, exist_ok=True)
        try:
            descriptor = os.open(claims, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink == 0:
                continue
            yield
            return
        finally:
            os.close(descriptor)
