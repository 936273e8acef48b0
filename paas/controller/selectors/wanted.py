"""A host's whole wanted state, derived from rows.

In: a host.  Out: `runtime.model.WantedState` of its newest generation.
"""

from __future__ import annotations

import hashlib
from uuid import UUID

from django.conf import settings
from django.db import transaction

from paas.controller.encryption import decrypt
from paas.controller.models import Host, Instance
from paas.controller.selectors.ways import ways
from runtime.model import InstanceSpec, InstanceState, Member, Peer, WantedState, decode


@transaction.atomic
def wanted_state(host_id: UUID) -> WantedState:
    """Return everything the host must run, and who its peers are. All is read in one transaction."""
    host = Host.objects.get(id=host_id)
    instances = Instance.objects.filter(host=host).exclude(wanted=Instance.Wanted.STOP).order_by("created_at")
    leaving = tuple(str(one.id) for one in instances if one.wanted == Instance.Wanted.DRAIN)
    specs = tuple(decode(decrypt(instance.spec), InstanceSpec) for instance in instances)
    peers = _peers(host)
    known = ways()
    return WantedState(
        generation=host.generation,
        instances=specs,
        peers=peers,
        members=_members(host) if peers else (),
        network=network_number(settings.PAAS.domain),
        apps=known.apps,
        egress=known.egress,
        build_egress=known.build_egress,
        networks=known.networks,
        leaving=leaving,
    )


def _peers(host: Host) -> tuple[Peer, ...]:
    """Other hosts that have said where they are. Quiet ones too: their containers may well be running."""
    others = Host.objects.exclude(id=host.id).exclude(subnet="").exclude(underlay="").order_by("name")
    return tuple(
        Peer(host=one.name, address=one.underlay, subnet=one.subnet, public_key=one.public_key)
        for one in others
    )


def _members(host: Host) -> tuple[Member, ...]:
    """Instances on the peers. One that drains still talks to its app, but takes nothing new."""
    elsewhere = Instance.objects.exclude(host=host).exclude(address="").defer("spec").order_by("created_at")
    return tuple(
        Member(
            owner=str(one.app_id),
            address=one.address,
            name=one.name,
            up=one.state == InstanceState.UP and one.wanted == Instance.Wanted.RUN,
        )
        for one in elsewhere
    )


def network_number(name: str) -> int:
    """Return a number that tells platforms on the same machines apart: 1 to 2**24 - 1, the same on every host."""
    digest = hashlib.blake2s(name.encode(), digest_size=3).digest()
    return int.from_bytes(digest) or 1
