"""What an open engine answers for, at this moment.

In: the engine's parts, records, and ids it works on right now.  Out: `Known`, for the doctor.
"""

from __future__ import annotations

from collections.abc import Collection

from runtime.container import membership
from runtime.container.parts import Parts
from runtime.container.port import Asked
from runtime.container.storage import Record
from runtime.doctor.place import Inside, Known, Place


def place_of(parts: Parts, subnet: str, inside: Inside) -> Place:
    return Place(
        layout=parts.layout,
        runtime=parts.runtime,
        cgroups=parts.cgroups,
        names=parts.names,
        subnet=subnet,
        inside=inside,
    )


def known(parts: Parts, records: Collection[Record], busy: Collection[str], asked: Asked) -> Known:
    """`busy`: containers that are being made, changed or removed; what they have is theirs."""
    wanted = asked.containers()
    slots = parts.pool.live()
    settled = [record for record in records if record.id not in busy]
    guarded = [one for one in settled if one.slot >= 0 and parts.pool.guarded]
    networked = [one for one in guarded if one.boot_id == parts.boot_id]
    return Known(
        containers=frozenset(record.id for record in records) | frozenset(busy),
        asked=wanted | frozenset(busy),
        supervisors=tuple((record.id, record.conmon_pid) for record in settled),
        slots=frozenset(slot.number for slot in slots),
        interfaces=frozenset(slot.interface for slot in slots),
        addresses=frozenset(slot.address for slot in slots),
        members=tuple(membership.member_of(parts, record) for record in networked),
        volumes=frozenset(parts.volumes.used()),
        data=parts.data.held(),
        images=frozenset(digest.removeprefix("sha256:") for record in records for digest in record.images),
        drafts=frozenset(parts.images.drafts),
        logs=wanted,
        jobs=asked.jobs(),
        starts=tuple(parts.owners.all().items()),
    )
