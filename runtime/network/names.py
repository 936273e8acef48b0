"""What names of containers mean to an app.

In: a name such as `web.myapp.internal`, who asks, who is where, and the networks.  Out: addresses of healthy instances
that the asker may reach.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from runtime.model import Member, Network
from runtime.network.reach import partners

ZONE = "internal"


def is_ours(name: str) -> bool:
    """Tell whether a name is answered here; all others are the host's name servers' business."""
    return name == ZONE or name.endswith(f".{ZONE}")


def resolve(
    name: str,
    owner: str,
    apps: Mapping[str, str],
    members: Iterable[Member],
    networks: Sequence[Network] = (),
) -> list[str] | None:
    """Return the addresses behind a name, for the app `owner`; None when it has no such name. Pure.

    `APP.internal` is every instance, `TYPE.APP.internal` those of a process type, `TYPE.N.APP.internal` one of them;
    of the own app and of those that share a network with it. `ALIAS.NETWORK.internal` stands for `APP.internal`, with
    TYPE and N before it as well. Other names are told to nobody: whether they exist cannot be seen.
    """
    labels = name.lower().split(".")[:-1]
    if not labels:
        return None
    meant = [*_apps(labels, owner, apps, networks), *_aliased(labels, owner, networks)]
    everybody = tuple(members)
    found = [
        one
        for prefix, its in meant
        for one in everybody
        if one.owner == its and _matches(prefix, one.name.lower())
    ]
    if not found and not any(prefix == "" for prefix, _ in meant):
        return None
    return list(dict.fromkeys(one.address for one in found if one.up and one.address))


def _apps(
    labels: Sequence[str], owner: str, apps: Mapping[str, str], networks: Sequence[Network]
) -> list[tuple[str, str]]:
    """Return what the labels say of apps: what comes before the app's name, and the app's owner."""
    seen = (owner, *sorted(partners(networks).get(owner, ())))
    return [(".".join(labels[:-1]), one) for one in seen if apps.get(one, one).lower() == labels[-1]]


def _aliased(labels: Sequence[str], owner: str, networks: Sequence[Network]) -> list[tuple[str, str]]:
    if len(labels) < 2:
        return []
    return [
        (".".join(labels[:-2]), member.owner)
        for network in networks
        if network.name.lower() == labels[-1] and any(one.owner == owner for one in network.members)
        for member in network.members
        if labels[-2] in (alias.lower() for alias in member.aliases)
    ]


def _matches(prefix: str, name: str) -> bool:
    return prefix in ("", name, name.rpartition(".")[0])
