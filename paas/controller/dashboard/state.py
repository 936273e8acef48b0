"""What runs of an app right now, ready to show.

In: an app.  Out: one frozen `State`; two equal states look the same on the page.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from paas.controller.dashboard.progress import Progress, progress
from paas.controller.models import App, Instance
from paas.controller.selectors.dynos import Dyno, dynos
from paas.controller.selectors.formation import formation

# How loud each state is: the class of its dot.
TONES = {
    "up": "good",
    "starting": "busy",
    "pending": "busy",
    "stopping": "quiet",
    "draining": "quiet",
    "down": "quiet",
    "complete": "quiet",
}


@dataclass(frozen=True)
class InstanceRow:
    id: UUID
    name: str
    type: str
    state: str
    host: str
    since: datetime
    restarts: int
    message: str
    version: int

    @property
    def tone(self) -> str:
        return TONES.get(self.state, "bad")


@dataclass(frozen=True)
class OneOffRow:
    id: UUID
    name: str
    type: str
    command: str
    state: str
    host: str
    since: datetime

    @property
    def tone(self) -> str:
        return TONES.get(self.state, "bad")


@dataclass(frozen=True)
class ProcessRow:
    type: str
    command: str
    quantity: int
    size: str
    instances: tuple[InstanceRow, ...]

    @property
    def up(self) -> int:
        return sum(instance.state == "up" for instance in self.instances)


@dataclass(frozen=True)
class Health:
    """`word`: what a person would say; `tone`: the class of its dot."""

    up: int
    total: int
    word: str
    tone: str


@dataclass(frozen=True)
class State:
    health: Health
    version: int | None
    deployed: bool
    maintenance: bool
    processes: tuple[ProcessRow, ...]
    one_offs: tuple[OneOffRow, ...]
    progress: Progress | None

    @property
    def seen(self) -> str:
        """A short name for this state: the browser shows it back, and is only answered when it is outdated."""
        return _digest(self)

    @property
    def shape(self) -> str:
        """The same for what the scaling forms show."""
        return _digest([(row.type, row.command, row.quantity, row.size) for row in self.processes])

    @property
    def summary(self) -> str:
        """One sentence for a screen reader, said when it changes."""
        parts = [f"{row.type}: {row.up} of {row.quantity} up" for row in self.processes]
        if self.progress and self.progress.running:
            active = next((phase.words for phase in self.progress.phases if phase.state == "active"), "")
            parts.append(f"Deploying: {active}" if active else "Deploying")
        return ". ".join(parts)


def _digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def state_of(app: App) -> State:
    everything = dynos(app)
    rows = _instance_rows(app, everything)
    processes = tuple(
        ProcessRow(
            row.type,
            row.command,
            row.quantity,
            row.size,
            tuple(instance for instance in rows if instance.type == row.type),
        )
        for row in formation(app)
    )
    known = {instance.id for instance in rows}
    return State(
        health=health(
            sum(row.up for row in processes), sum(row.quantity for row in processes), bool(processes)
        ),
        version=app.current_release.version if app.current_release else None,
        deployed=bool(app.current_release and app.current_release.slug_id),
        maintenance=app.maintenance,
        processes=processes,
        one_offs=tuple(_one_off(dyno) for dyno in everything if dyno.id not in known),
        progress=progress(app),
    )


def _one_off(dyno: Dyno) -> OneOffRow:
    return OneOffRow(dyno.id, dyno.name, dyno.type, dyno.command, dyno.state, dyno.host, dyno.created_at)


def _instance_rows(app: App, everything: list[Dyno]) -> list[InstanceRow]:
    """Return the instances among the dynos; the rest are one-off processes."""
    wanted = dict(app.instances.values_list("id", "wanted"))
    return [
        InstanceRow(
            id=dyno.id,
            name=dyno.name,
            type=dyno.type,
            state="draining" if wanted[dyno.id] == Instance.Wanted.DRAIN else dyno.state,
            host=dyno.host,
            since=dyno.since,
            restarts=dyno.restarts,
            message=dyno.health_message or dyno.exit_message,
            version=dyno.release_version,
        )
        for dyno in everything
        if dyno.id in wanted
    ]


def health(up: int, total: int, deployed: bool) -> Health:
    """Return how an app with `up` of `total` instances is."""
    if not deployed:
        return Health(up, total, "not deployed yet", "quiet")
    if total == 0:
        return Health(up, total, "scaled to zero", "quiet")
    if up >= total:
        return Health(up, total, "healthy", "good")
    return Health(up, total, "degraded", "warn") if up else Health(up, total, "down", "bad")
