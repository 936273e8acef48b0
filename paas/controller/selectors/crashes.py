"""Reading how runs of an app ended that nobody had asked to end.

In: an app.  Out: crashes in words, newest first, with their first and last lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from paas.controller.models import App, Crash
from paas.controller.selectors.planning import describe_exit, exit_info
from paas.controller.texts import storable


@dataclass(frozen=True)
class CrashReport:
    """`message` completes "web.1 …". Lines may lie between the first and the last ones; all are in the log."""

    id: int
    dyno: str
    run: int
    version: int
    host: str
    at: datetime
    started_at: datetime | None
    reason: str
    code: int | None
    signal: int | None
    message: str
    first_lines: tuple[str, ...]
    last_lines: tuple[str, ...]

    @property
    def ran_seconds(self) -> float | None:
        return max(0.0, (self.at - self.started_at).total_seconds()) if self.started_at else None


def crashes(app: App, *, dyno: str = "", limit: int | None = None) -> list[CrashReport]:
    """Return the newest crashes; `dyno` is a name (`web.1`) or a type (`web`)."""
    rows = Crash.objects.filter(app=app).order_by("-at", "-id")
    if dyno:
        wanted = storable(dyno)
        rows = rows.filter(Q(dyno=wanted) | Q(dyno__startswith=f"{wanted}."))
    return [_report(one) for one in (rows if limit is None else rows[:limit])]


def _report(row: Crash) -> CrashReport:
    info = exit_info(row.exit)
    assert info is not None
    return CrashReport(
        id=row.id,
        dyno=row.dyno,
        run=row.run,
        version=row.version,
        host=row.host,
        at=row.at,
        started_at=row.started_at,
        reason=info.reason.value,
        code=info.code,
        signal=info.signal,
        message=describe_exit(info),
        first_lines=info.head,
        last_lines=info.tail,
    )
