"""What must stay on this host because something needs it, and what was needed lately.

In: what a host should run, what it runs.  Out: `Pins`, and an update of the noted `Uses`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from runtime.agent.garbage import Newest, Uses, newer
from runtime.model import InstanceSpec, InstanceState, InstanceStatus, JobSpec, JobState, JobStatus

ENDED_JOB = frozenset({JobState.SUCCEEDED, JobState.FAILED})
ENDING = frozenset({InstanceState.STOPPING, InstanceState.STOPPED})


@dataclass(frozen=True)
class Pins:
    """Image digests, caches as `owner/name`, and owners that are needed now."""

    images: frozenset[str] = frozenset()
    caches: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Seen:
    """A host as it is: the wanted specs, the supervised instances, all jobs that are remembered."""

    wanted: tuple[InstanceSpec, ...] = ()
    instances: tuple[tuple[InstanceSpec, InstanceStatus], ...] = ()
    jobs: tuple[tuple[JobSpec, JobStatus], ...] = ()


def pins_of(seen: Seen) -> Pins:
    """What is wanted, running or about to run."""
    jobs = [(spec, status) for spec, status in seen.jobs if status.state not in ENDED_JOB]
    running = [spec for spec, status in seen.instances if status.state is not InstanceState.STOPPED]
    containers = [spec.container for spec in (*seen.wanted, *running)] + [spec.container for spec, _ in jobs]
    digests = [layer.digest for container in containers for layer in container.rootfs.layers]
    return Pins(
        images=frozenset([*digests, *(digest for _, status in jobs for digest in _made(status))]),
        caches=frozenset(cache_key(spec) for spec, _ in jobs if spec.cache),
        owners=frozenset(container.owner for container in containers),
    )


def note(uses: Uses, seen: Seen, owners: Iterable[str], now: float) -> Uses:
    """Note what is in use now. An owner never seen before starts to age from now."""
    pins = pins_of(seen)
    ended = {cache_key(spec): status.since for spec, status in seen.jobs if spec.cache}
    first_seen = {owner: now for owner in owners if owner not in uses.owners}
    return Uses(
        images={**uses.images, **dict.fromkeys(pins.images, now)},
        newest=newer(uses.newest, _newest(seen)),
        caches=_later(uses.caches, {**ended, **dict.fromkeys(pins.caches, now)}),
        owners={**first_seen, **uses.owners, **dict.fromkeys(pins.owners, now)},
    )


def _made(status: JobStatus) -> tuple[str, ...]:
    """The images that a job has made."""
    return tuple(ref.digest for ref in ((status.slug, *status.layers) if status.slug else ()))


def cache_key(spec: JobSpec) -> str:
    return f"{spec.container.owner}/{spec.cache}"


def _later(known: dict[str, float], seen: dict[str, float]) -> dict[str, float]:
    return {**known, **{key: max(at, known.get(key, 0.0)) for key, at in seen.items()}}


def _newest(seen: Seen) -> dict[str, Newest]:
    """The images that each owner's latest container runs from, and the latest slug."""
    found: dict[str, Newest] = {}
    rows = [(spec.container, status.started_at or status.since) for spec, status in seen.instances
            if status.state not in ENDING]  # fmt: skip
    rows += [(spec.container, status.since) for spec, status in seen.jobs]
    slugs = {spec.container.id: _made(status) for spec, status in seen.jobs}
    for container, at in rows:
        digests = tuple(layer.digest for layer in container.rootfs.layers) + slugs.get(container.id, ())
        if digests:
            found = newer(found, {container.owner: Newest(at=at, digests=digests)})
    return found


def unchanged(before: Uses, after: Uses, tolerance: float) -> bool:
    """Whether storing `after` can wait: nothing new, and no time moved by more than `tolerance` seconds."""
    return all(
        getattr(before, name).keys() == getattr(after, name).keys()
        and all(
            abs(_at(value) - _at(getattr(before, name)[key])) < tolerance
            for key, value in getattr(after, name).items()
        )
        for name in msgspec.structs.asdict(after)
    ) and {k: v.digests for k, v in before.newest.items()} == {k: v.digests for k, v in after.newest.items()}


def _at(value: float | Newest) -> float:
    return value.at if isinstance(value, Newest) else value
