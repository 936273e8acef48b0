"""Who may talk to whom: instances of one app, and of apps that share a network. On this host and over hosts.

In: containers here and elsewhere, networks, the numbers of owners.  Out: what the firewall's sets must hold. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from runtime.model import Egress, Member, Network, Struct

Pair = tuple[int, str]  # (the sender's number, the receiver's address)


class Reach(Struct):
    """Beyond what each container brings along: `owners` are numbers of addresses on other hosts, `pairs` who may reach
    which address."""

    owners: dict[str, int] = {}
    pairs: frozenset[Pair] = frozenset()


def partners(networks: Iterable[Network]) -> dict[str, frozenset[str]]:
    """Return for each owner the others that it shares a network with."""
    found: dict[str, set[str]] = {}
    for network in networks:
        owners = {one.owner for one in network.members}
        for owner in owners:
            found.setdefault(owner, set()).update(owners - {owner})
    return {owner: frozenset(others) for owner, others in found.items()}


def secluded(networks: Iterable[Network]) -> frozenset[str]:
    """Return the owners that are in an internal network: they reach their peers and nothing outside."""
    return frozenset(one.owner for network in networks if network.internal for one in network.members)


def effective_egress(egress: Mapping[str, Egress], networks: Iterable[Network]) -> dict[str, Egress]:
    """Return the rules with what internal networks add: no way out, whatever else is allowed."""
    return {**egress, **dict.fromkeys(secluded(networks), Egress())}


def plan(
    here: Mapping[str, int],
    local: Mapping[str, str],
    elsewhere: Iterable[Member],
    networks: Iterable[Network],
    guest: Callable[[str], int],
) -> Reach:
    """`here` are the numbers of owners with containers on this host, `local` the owners of addresses here. `guest`
    gives a number to an owner that has containers on other hosts only."""
    friends = partners(networks)

    def number(owner: str) -> int:
        return here[owner] if owner in here else guest(owner)

    strangers = [
        one for one in elsewhere if one.owner in here or friends.get(one.owner, frozenset()) & here.keys()
    ]
    pairs: set[Pair] = set()
    for address, owner in local.items():
        pairs |= {(number(friend), address) for friend in friends.get(owner, ())}
    for one in strangers:
        senders = {one.owner, *friends.get(one.owner, ())} & here.keys()
        pairs |= {(here[sender], one.address) for sender in senders}
    return Reach(owners={one.address: number(one.owner) for one in strangers}, pairs=frozenset(pairs))
