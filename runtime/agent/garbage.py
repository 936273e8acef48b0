"""What may go from this host, and why.

In: what is stored, who used it when, what is pinned, how much may be kept.  Out: removals with their reasons. Pure.

Order of sacrifice: what nobody used for long; then, while too much is kept or the disk is nearly full, the least
recently used first, and the newest images of each app last, because a restart or a rollback needs them at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from runtime.container.port import StoredImage, StoredVolume
from runtime.model import Struct


@dataclass(frozen=True)
class Keep:
    """How much to keep. Bytes and seconds; `disk_free_min` None: 2 GiB or 5 % of the disk, whichever is less."""

    image_bytes: int = 10 * 1024**3
    image_seconds: float = 24 * 3600.0
    cache_bytes: int = 20 * 1024**3
    cache_seconds: float = 30 * 86400.0
    disk_free_min: int | float | None = None


class Newest(Struct):
    """The images an owner ran last. `at` is Unix seconds."""

    at: float
    digests: tuple[str, ...]


class Uses(Struct):
    """Who used what when (Unix seconds). `caches` are keyed `owner/name`; only what is named there is a cache."""

    images: dict[str, float] = {}
    newest: dict[str, Newest] = {}
    caches: dict[str, float] = {}
    owners: dict[str, float] = {}


@dataclass(frozen=True)
class Removal:
    """One thing to remove. `kind`: image, cache or owner; `name`: digest, `owner/name` or owner."""

    kind: str
    name: str
    bytes: int
    reason: str


def free_floor(keep: Keep, disk_bytes: int) -> int:
    """How many bytes must stay free on a disk of that size. A share is given as a float below or at 1."""
    least = keep.disk_free_min
    if least is None:
        return min(2 * 1024**3, disk_bytes // 20)
    return int(disk_bytes * least) if isinstance(least, float) else least


def plan_images(
    images: Iterable[StoredImage], uses: Uses, pinned: Collection[str], keep: Keep, now: float, need: int = 0
) -> tuple[Removal, ...]:
    """Which images go. `need`: bytes the disk lacks. Nothing that is pinned or in use is ever named."""
    images = tuple(images)
    loose = [one for one in images if not one.in_use and one.digest not in pinned]
    newest = {
        digest for one in uses.newest.values() if now - one.at < keep.cache_seconds for digest in one.digests
    }
    aged = [
        one for one in loose if one.digest not in newest and now - last_use(one, uses) > keep.image_seconds
    ]
    gone = {one.digest for one in aged}
    removals = [_image(one, f"not used for {_span(now - last_use(one, uses))}") for one in aged]
    freed = sum(one.size for one in aged)
    excess = sum(one.size for one in images) - freed - keep.image_bytes
    lacking = need - freed
    rest = sorted(loose, key=lambda one: (one.digest in newest, last_use(one, uses)))
    for one in rest:
        if one.digest in gone:
            continue
        if excess <= 0 and lacking <= 0:
            break
        why = "the disk is nearly full" if lacking > 0 else "more images than PAAS_AGENT_IMAGES_MAX_BYTES"
        removals.append(_image(one, f"{why}; not used for {_span(now - last_use(one, uses))}"))
        excess, lacking = excess - one.size, lacking - one.size
    return tuple(removals)


def plan_caches(
    volumes: Iterable[StoredVolume],
    uses: Uses,
    pinned: Collection[str],
    keep: Keep,
    now: float,
    need: int = 0,
) -> tuple[Removal, ...]:
    """Which cache volumes go. Volumes that were never noted as a cache are data, and none of this one's business."""
    caches = {
        key: (volume, max(volume.used_at, uses.caches[key]))
        for volume in volumes
        if (key := f"{volume.owner}/{volume.name}") in uses.caches
    }
    total, removals = sum(volume.disk_bytes for volume, _ in caches.values()), []
    for key, (volume, used_at) in sorted(caches.items(), key=lambda item: item[1][1]):
        if volume.in_use or key in pinned:
            continue
        idle = now - used_at
        if idle > keep.cache_seconds:
            why = f"not used for {_span(idle)}"
        elif need > 0:
            why = "the disk is nearly full"
        elif total > keep.cache_bytes:
            why = "more build caches than PAAS_AGENT_CACHES_MAX_BYTES"
        else:
            continue
        removals.append(Removal("cache", key, volume.disk_bytes, why))
        total, need = total - volume.disk_bytes, need - volume.disk_bytes
    return tuple(removals)


def plan_owners(
    owners: Iterable[str], uses: Uses, pinned: Collection[str], keep: Keep, now: float
) -> tuple[Removal, ...]:
    """Whose user range may be given to somebody else: owners not seen for as long as caches are kept."""
    return tuple(
        Removal("owner", owner, 0, f"not seen for {_span(now - uses.owners[owner])}")
        for owner in owners
        if owner not in pinned and owner in uses.owners and now - uses.owners[owner] > keep.cache_seconds
    )


def last_use(image: StoredImage, uses: Uses) -> float:
    return max(image.used_at, uses.images.get(image.digest, 0.0))


def newer(known: Mapping[str, Newest], seen: Mapping[str, Newest]) -> dict[str, Newest]:
    """Merge what was seen into what is known; the later one of an owner wins."""
    merged = dict(known)
    for owner, one in seen.items():
        if owner not in merged or one.at >= merged[owner].at:
            merged[owner] = one
    return merged


def only_existing(
    uses: Uses, images: Collection[str], caches: Collection[str], owners: Collection[str]
) -> Uses:
    """Forget what is not on this host any more, so that the record does not grow for ever."""
    return Uses(
        images={digest: at for digest, at in uses.images.items() if digest in images},
        newest={
            owner: one for owner, one in uses.newest.items() if images and set(one.digests) & set(images)
        },
        caches={key: at for key, at in uses.caches.items() if key in caches},
        owners={owner: at for owner, at in uses.owners.items() if owner in owners},
    )


def _image(image: StoredImage, reason: str) -> Removal:
    return Removal("image", image.digest, image.size, reason)


def _span(seconds: float) -> str:
    if seconds < 2 * 3600:
        return f"{max(0, int(seconds // 60))} minutes"
    return f"{int(seconds // 3600)} hours" if seconds < 72 * 3600 else f"{int(seconds // 86400)} days"
