"""What hosts must know of all apps: names, where each may go, and the networks that join them.

In: nothing.  Out: the values that agents take. One query, as a host asks for its orders at every change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q

from paas.controller.models import App, Instance
from runtime.model import Egress, Network, NetworkMember, parse_egress_rule


@dataclass(frozen=True)
class Ways:
    """`apps`: names by id of those that have instances. Rules by id, of those that may not go everywhere."""

    apps: dict[str, str] = field(default_factory=dict)
    egress: dict[str, Egress] = field(default_factory=dict)
    build_egress: dict[str, Egress] = field(default_factory=dict)
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True)
class _Row:
    """An app in one of its networks, or in none."""

    id: UUID
    name: str
    egress: list[str] | None
    build_egress: list[str] | None
    placed: bool
    network: str | None
    internal: bool | None
    aliases: list[str] | None


def ways() -> Ways:
    """Return what is so now. Every host gets all: a run may start anywhere."""
    rows = tuple(_rows())
    return Ways(
        apps={str(row.id): row.name for row in rows if row.placed},
        egress={str(row.id): _egress(row.egress) for row in rows if row.egress is not None},
        build_egress={str(row.id): _egress(row.build_egress) for row in rows if row.build_egress is not None},
        networks=_networks(rows),
    )


def _rows() -> Iterable[_Row]:
    placed = Exists(Instance.objects.filter(app=OuterRef("id")))
    wanted = Q(placed=True) | Q(egress__isnull=False) | Q(build_egress__isnull=False)
    apps = App.objects.annotate(
        placed=placed,
        network=F("network_members__network__name"),
        internal=F("network_members__network__internal"),
        aliases=F("network_members__aliases"),
    ).filter(wanted | Q(network__isnull=False))
    columns: Any = tuple(_Row.__dataclass_fields__)
    return (_Row(*values) for values in apps.order_by("id").values_list(*columns))


def _egress(rules: Iterable[str]) -> Egress:
    return Egress(rules=tuple(map(parse_egress_rule, rules)))


def _networks(rows: Iterable[_Row]) -> tuple[Network, ...]:
    """Return every network that joins apps; an app's names there are those it joined with, else its own."""
    members: dict[tuple[str, bool], list[NetworkMember]] = {}
    for row in sorted(rows, key=lambda row: str(row.id)):
        if row.network is not None:
            names = tuple(row.aliases or (row.name,))
            key = (row.network, bool(row.internal))
            members.setdefault(key, []).append(NetworkMember(owner=str(row.id), aliases=names))
    return tuple(
        Network(name=name, internal=internal, members=tuple(there))
        for (name, internal), there in sorted(members.items())
    )
