"""Reading the volumes of an app, and where a release mounts them.

In: an app or a release.  Out: rows and frozen values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from paas.controller.models import App, Release, Volume
from paas.controller.selectors.releases import newest_release
from paas.errors import NotFound
from runtime.model import VolumeMount


@dataclass(frozen=True)
class Binding:
    """A volume in the processes of a type. `name` is the volume's, for its host and for people."""

    volume: str
    name: str
    type: str
    target: str
    read_only: bool = False

    @property
    def stored(self) -> dict[str, Any]:
        """Return what a release keeps."""
        return {
            "volume": self.volume,
            "name": self.name,
            "type": self.type,
            "target": self.target,
            "read_only": self.read_only,
        }

    @property
    def text(self) -> str:
        return f"{self.type}:{self.target}{':ro' if self.read_only else ''}"


def bindings(release: Release | None) -> tuple[Binding, ...]:
    return tuple(Binding(**entry) for entry in release.volumes) if release else ()


def bindings_of_app(app: App) -> tuple[Binding, ...]:
    """Return where the newest release mounts volumes."""
    return bindings(newest_release(app))


def mounts_of(release: Release, process_type: str) -> tuple[VolumeMount, ...]:
    """Return what a process of that type gets."""
    mine = (one for one in bindings(release) if one.type == process_type)
    return tuple(VolumeMount(name=one.name, target=one.target, read_only=one.read_only) for one in mine)


def one_off_mounts(release: Release) -> tuple[VolumeMount, ...]:
    """Return what a one-off gets: everything that processes have, read-only. Of two at one place, the first type's."""
    found: dict[str, VolumeMount] = {}
    names: set[str] = set()
    for one in sorted(bindings(release), key=lambda one: (one.type, one.target)):
        if one.target not in found and one.name not in names:
            found[one.target] = VolumeMount(name=one.name, target=one.target, read_only=True)
            names.add(one.name)
    return tuple(found.values())


def written_volumes(release: Release, process_type: str) -> frozenset[UUID]:
    """Return the volumes that processes of that type write to."""
    mine = (one for one in bindings(release) if one.type == process_type and not one.read_only)
    return frozenset(UUID(one.volume) for one in mine)


def home_of(app_id: UUID) -> UUID | None:
    """Return the host of an app's volumes: all are on one."""
    rows = Volume.objects.filter(app_id=app_id).order_by("created_at", "id")
    return rows.values_list("host_id", flat=True).first()


def volumes(app: App) -> QuerySet[Volume]:
    return Volume.objects.filter(app=app, doomed=False).select_related("host", "app").order_by("name")


def find_volume(app: App, name: str) -> Volume:
    """Return a volume by its name. Raises NotFound naming those that exist."""
    found = volumes(app).filter(name=name).first()
    if found is None:
        there = ", ".join(volumes(app).values_list("name", flat=True)) or "none"
        raise NotFound(f"Couldn't find volume {name} of {app.name}; it has: {there}.", resource="volume")
    return found
