"""What a release may do with volumes.

In: bindings and a formation.  Out: nothing, or InvalidParams that says which rule is broken and what to do.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from paas.controller.models import App
from paas.controller.selectors.volumes import Binding, volumes
from paas.errors import InvalidParams

TYPE = re.compile(r"[A-Za-z0-9_-]{1,63}")
RESERVED = ("/proc", "/sys", "/dev", "/app", "/tmp", "/etc", "/usr", "/bin", "/sbin", "/lib", "/run")
BELOW = ("/app", "/tmp", "/run", "/usr")  # reserved themselves, but not what is below


def parse_mount(text: str, volume: str, name: str) -> Binding:
    """Read TYPE:/PATH or TYPE:/PATH:ro. Raises InvalidParams."""
    type_, _, place = text.partition(":")
    target, _, access = place.partition(":")
    if not TYPE.fullmatch(type_) or access not in ("", "ro", "rw"):
        raise InvalidParams(
            f"{text!r} does not say where: give TYPE:/PATH, or TYPE:/PATH:ro to only read it."
        )
    return Binding(volume, name, type_, check_target(target), access == "ro")


def check_target(target: str) -> str:
    """Return the path in its plain form. Raises InvalidParams for one that cannot be mounted at."""
    parts = [part for part in target.split("/") if part not in ("", ".")]
    clean = "/" + "/".join(parts)
    if not target.startswith("/") or ".." in parts or not parts or len(target) > 200 or "\0" in target:
        raise InvalidParams(f"{target!r} is no place for a volume: give an absolute path, such as /data.")
    top = f"/{parts[0]}"
    if clean in RESERVED or (top in RESERVED and top not in BELOW):
        raise InvalidParams(
            f"{clean} belongs to the app's code or the system; mount the volume elsewhere, at /data."
        )
    return clean


def check_bindings(
    app: App,
    found: Sequence[Binding],
    formation: Mapping[str, Mapping[str, Any]],
    coming: Collection[str] = (),
) -> None:
    """Raises InvalidParams unless every volume exists (or is `coming`), has one writer, and every place one volume."""
    there = {str(one) for one in volumes(app).values_list("id", flat=True)}
    for one in found:
        if one.volume not in there and one.volume not in coming:
            raise InvalidParams(
                f"Volume {one.name}, which this release mounts at {one.text}, has been destroyed; "
                f"what was in it is gone. Choose another release, or make a new one."
            )
    _refuse_twice(f"{one.type}:{one.target}" for one in found)
    _refuse_twice(f"{one.type} of volume {one.name}" for one in found)
    writers: dict[str, str] = {}
    for one in (one for one in found if not one.read_only):
        if writers.setdefault(one.volume, one.type) != one.type:
            raise InvalidParams(
                f"Volume {one.name} is written to by {writers[one.volume]} already, and it has one writer: "
                f"mount it read-only in {one.type} ({one.type}:{one.target}:ro)."
            )
        quantity = formation.get(one.type, {}).get("quantity", 0)
        if quantity > 1:
            raise InvalidParams(
                f"{one.type} writes to volume {one.name}, which has one writer at a time: it can have at most one "
                f"dyno, not {quantity}. Mount the volume read-only, or keep the data in a database to scale it."
            )


def _refuse_twice(places: Iterable[str]) -> None:
    for place, count in Counter(places).items():
        if count > 1:
            raise InvalidParams(f"Two mounts are the same: {place}. Unmount one of them.")
