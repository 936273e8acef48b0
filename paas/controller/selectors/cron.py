"""Reading scheduled commands.

In: an app.  Out: the entries of the release that serves with their times, and how the last runs of each ended.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from paas.controller.models import App, CronJob, OneOff
from paas.controller.selectors.planning import describe_exit, exit_info
from paas.errors import NotFound
from runtime.model import ExitReason

TYPE = "cron"  # of the one-offs
LOOKED_AT = 200  # of an app's scheduled one-offs, newest first


@dataclass(frozen=True)
class Scheduled:
    """An entry. `next_at` None: it is paused, and starts by hand only."""

    id: str
    command: str
    schedule: str
    concurrency_policy: str
    maintenance: bool
    paused: bool
    next_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True)
class Run:
    """`message` completes "cron.1234 …". `ended_at` None: it still runs, or waits for its host."""

    name: str
    version: int
    started_at: datetime
    ended_at: datetime | None
    succeeded: bool
    message: str

    @property
    def seconds(self) -> float | None:
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None


def entries(app: App) -> list[dict[str, Any]]:
    """Return what the serving release declares."""
    release = app.current_release
    found: list[dict[str, Any]] = release.slug.declared.get("cron", []) if release and release.slug else []
    return found


def entry_id(schedule: str, command: str) -> str:
    """Return what an entry goes by: the same as long as it says the same, wherever it stands."""
    return hashlib.sha256(f"{schedule}\n{command}".encode()).hexdigest()[:8]


def jobs(app: App) -> list[tuple[CronJob, dict[str, Any]]]:
    """In the order of app.json, each with its entry. Rows of an older release that nobody has cleared away yet are
    left out."""
    declared = entries(app)
    if not declared:
        return []
    rows = CronJob.objects.filter(app=app, number__lt=len(declared)).order_by("number")
    return [(row, declared[row.number]) for row in rows if is_of(row, declared[row.number])]


def is_of(row: CronJob, entry: dict[str, Any]) -> bool:
    return (row.schedule, row.command) == (entry["schedule"], entry["command"])


def find_jobs(app: App, identity: str) -> list[tuple[CronJob, dict[str, Any]]]:
    """Return what goes by an id: two where an app.json says one thing twice. Raises NotFound."""
    found = [one for one in jobs(app) if entry_id(one[0].schedule, one[0].command) == identity]
    if not found:
        raise NotFound(
            f"{app.name} has no scheduled command {identity} in the release that serves; see `paas cron`.",
            app=app.name,
            resource="cron",
        )
    return found


def scheduled(app: App) -> list[Scheduled]:
    return [shown(row, entry) for row, entry in jobs(app)]


def shown(row: CronJob, entry: dict[str, Any]) -> Scheduled:
    return Scheduled(
        id=entry_id(row.schedule, row.command),
        command=row.command,
        schedule=row.schedule,
        concurrency_policy=entry.get("policy", "allow"),
        maintenance=bool(entry.get("maintenance")),
        paused=row.paused,
        next_at=None if row.paused else row.next_at,
        last_at=row.last_at,
    )


def last_runs(app: App, commands: Iterable[str], each: int = 5) -> dict[str, list[Run]]:
    """Return the newest runs of each command; the last one is kept, others for a day after their end."""
    wanted = set(commands)
    rows = OneOff.objects.filter(app=app, name__startswith=f"{TYPE}.", command__in=wanted)
    found: defaultdict[str, list[Run]] = defaultdict(list)
    for row in rows.select_related("release").defer("spec").order_by("-created_at")[:LOOKED_AT]:
        if len(found[row.command]) < each:
            found[row.command].append(_run(row))
    return dict(found)


def _run(row: OneOff) -> Run:
    info = exit_info(row.exit)
    good = info is not None and info.reason is ExitReason.EXITED and info.code == 0
    message = "succeeded" if good else describe_exit(info) if info else "ended" if row.finished_at else "runs"
    return Run(row.name, row.release.version, row.created_at, row.finished_at, good, message)
