"""Folders that an app's last build packed, shown to its next one where they were: read-only, nothing is copied.

In: what is noted beside a cache.  Out: images for the lowest part of a root; after the build, which folders still are
what their image is. That is seen in what the kernel alone can write into the writable layer: a folder that has been
moved is there an empty one with a note of where it came from, and has an entry for everything that was touched in it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from runtime.container import files, rootfs
from runtime.container.port import EngineError, VolumeBind
from runtime.container.storage import Record
from runtime.images import packing
from runtime.images.shifting import Shift
from runtime.images.store import digest_of
from runtime.model import ImageRef

if TYPE_CHECKING:
    from runtime.container.parts import Parts, Request

Offered = tuple[tuple[str, ImageRef], ...]

_REDIRECTS = Path("/sys/module/overlay/parameters/redirect_dir")  # the kernel can (4.10)
_CAME_FROM, _HIDES = "trusted.overlay.redirect", "trusted.overlay.opaque"


def choose(parts: Parts, request: Request, start: int) -> Offered:
    """Return the images to offer: whole ones, where a build's disk and the kernel allow it. `start` is of the owner."""
    if not request.scratch_bytes or parts.lowers.shift not in (Shift.IDMAPPED, Shift.NONE):
        return ()
    if not _REDIRECTS.exists():
        return ()
    found = (note for volume in request.volumes if volume.packed for note in _noted(parts, volume, start))
    return tuple((note.path, note.ref) for note in found if _is_whole(parts, note.ref))


def unchanged(parts: Parts, record: Record, path: str) -> ImageRef | None:
    """Return the image that the folder at `path` of an ended container still is, None when it may be another."""
    ref = dict(record.offered).get(path)
    if ref is None:
        return None
    upper = parts.layout.work(record.id) / rootfs.SCRATCH / rootfs.UPPER
    try:
        folder = files.open_directory(upper, path)
        try:
            mode = (parts.images.mount(ref) / path).lstat().st_mode
            return ref if _is_as_it_came(folder, path, mode) else None
        finally:
            os.close(folder)
    except (OSError, EngineError):
        return None


def _noted(parts: Parts, volume: VolumeBind, start: int) -> tuple[packing.Note, ...]:
    below = str(PurePosixPath("/", volume.packed).relative_to("/"))
    return packing.latest(packing.read_notes(parts.volumes.notes(f"{start}/{volume.name}")), below)


def _is_whole(parts: Parts, ref: ImageRef) -> bool:
    try:
        if digest_of(parts.images.path(ref))[0] != ref.digest:
            return False
        parts.images.mount(ref)
    except EngineError:
        return False
    return True


def _is_as_it_came(folder: int, path: str, mode: int) -> bool:
    names = os.listxattr(folder)
    return (
        not os.listdir(folder)
        and _HIDES not in names
        and _CAME_FROM in names
        and os.getxattr(folder, _CAME_FROM) == f"/{path}".encode()
        and stat.S_IMODE(os.fstat(folder).st_mode) == stat.S_IMODE(mode)
    )
