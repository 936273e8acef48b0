"""Reading the formation: how many of each process type, and how large.

In: an app.  Out: rows, and the sizes there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid5

from paas.controller.models import App
from paas.controller.selectors.releases import newest_release

MIB = 1024**2


@dataclass(frozen=True)
class Size:
    """A size of instance: memory and pids are hard limits, shares a weight against neighbours."""

    name: str
    memory_bytes: int
    cpu_shares: int
    cpu_cores: float | None
    units: int


SIZES = {
    size.name: size
    for size in (
        Size("standard-1x", 512 * MIB, 1024, None, 1),
        Size("standard-2x", 1024 * MIB, 2048, None, 2),
        Size("performance-m", 2560 * MIB, 4096, None, 5),
        Size("performance-l", 8192 * MIB, 8192, None, 16),
    )
}
DEFAULT_SIZE = "standard-1x"


@dataclass(frozen=True)
class FormationRow:
    id: UUID
    type: str
    command: str
    quantity: int
    size: str


def formation_id(app: App, process_type: str) -> UUID:
    """A process type has no row of its own: its id follows from the app and its name."""
    return uuid5(app.id, process_type)


def formation(app: App) -> list[FormationRow]:
    """Return what the newest release wants to run, `web` first."""
    release = newest_release(app)
    entries = release.formation if release else {}
    return [
        FormationRow(formation_id(app, type_), type_, entry["command"], entry["quantity"], entry["size"])
        for type_, entry in sorted(entries.items(), key=lambda item: (item[0] != "web", item[0]))
    ]
