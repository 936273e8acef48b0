"""A container's place in the network, from the firewall's point of view.

In: the engine's parts and a container's spec or record.  Out: a slot of the pool, and the firewall open or closed for
its address.
"""

from __future__ import annotations

import contextlib
import logging

from runtime.container.owners import FIRST, WIDTH, Owners
from runtime.container.parts import Parts
from runtime.container.port import EngineError
from runtime.container.storage import Record
from runtime.model import ContainerSpec, NetworkMode
from runtime.network import rules
from runtime.network.pool import Pool, Slot

log = logging.getLogger(__name__)


def take_slot(parts: Parts, spec: ContainerSpec, undo: contextlib.ExitStack, *, late: bool) -> Slot | None:
    pool = parts.pool
    if spec.network is NetworkMode.NONE:
        return None
    if not spec.address:
        slot = pool.reserve() if late else pool.take(spec.id)
    elif isinstance(pool, Pool):
        slot = pool.reserve(spec.address) if late else pool.take_exactly(spec.address)
    else:
        raise EngineError(
            f"{spec.name} asks for the address {spec.address}; here the CNI network gives addresses."
        )
    undo.callback(leave_network, parts, _member(parts, spec, slot), slot)
    return slot


def join_network(parts: Parts, spec: ContainerSpec, slot: Slot | None) -> None:
    if slot is None or not parts.pool.guarded:
        return
    member = _member(parts, spec, slot)
    parts.confinement.admit(member, spec.owner)
    if member.owner:
        parts.wiring.admit(spec.owner)


def leave_network(parts: Parts, member: rules.Member, slot: Slot) -> None:
    """Close the firewall for an address, then free it."""
    if parts.pool.guarded:
        parts.confinement.leave(member)
        try:
            parts.wiring.left()
        except EngineError as error:
            log.error("the ways to %s could not be closed: %s", member.address, error)
    parts.pool.release(slot)


def member_of(parts: Parts, record: Record) -> rules.Member:
    """Return the firewall's view of a container known from its record."""
    slot = parts.pool.slot(record.slot, record.address)
    owner = _owner_mark(parts, record.owner) if record.peers else 0
    return rules.Member(interface=slot.interface, address=slot.address, owner=owner)


def _member(parts: Parts, spec: ContainerSpec, slot: Slot) -> rules.Member:
    owner = _owner_mark(parts, spec.owner) if spec.network is NetworkMode.APP else 0
    return rules.Member(interface=slot.interface, address=slot.address, owner=owner)


def _owner_mark(parts: Parts, owner: str) -> int:
    return mark_of(parts.owners.range_start(owner))


def mark_of(start: int) -> int:
    """Return an owner's number for the firewall: 1 and up, since 0 means nobody. `start`: of its user range."""
    return (start - FIRST) // WIDTH + 1


def marks(owners: Owners) -> dict[str, int]:
    return {owner: mark_of(start) for owner, start in owners.all().items()}
