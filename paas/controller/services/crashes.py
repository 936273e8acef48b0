"""Keeping how runs ended that nobody had asked to end: why, and with which first and last lines.

In: an instance and what its host says of it.  Out: rows, the newest of each app.

A report tells the last end only. Where runs came and went between two reports, the host is asked for what it remembers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from django.utils import timezone

from paas.controller.agents import agent
from paas.controller.models import Crash, Instance
from paas.controller.queue import enqueue
from paas.controller.texts import stored_exit
from runtime.client import AgentRefused, AgentUnavailable
from runtime.model import EndedRun, ExitInfo, ExitReason, InstanceState, InstanceStatus

logger = logging.getLogger(__name__)

KEPT = 100  # crashes per app


def note_crash(instance: Instance, status: InstanceStatus) -> None:
    """Keep the end of the last run, if it is a new one. `instance` is still as the last report said."""
    if status.last_exit is None or not _is_crash(status.last_exit, status.state):
        return
    run, known = _run(status.state, status.restarts), _known_run(instance)
    began = instance.started_at.timestamp() if instance.started_at and run == known + 1 else None
    _keep(instance, [EndedRun(run=run, exit=status.last_exit, started_at=began)])
    if run > known + 1:
        enqueue("crashes.fill_in", str(instance.id))


def fill_in(instance_id: UUID) -> None:
    """Ask the host for the runs that no report has told. What it has forgotten is not known."""
    instance = Instance.objects.select_related("host", "release").filter(id=instance_id).first()
    if instance is None:
        return
    try:
        _keep(instance, agent(instance.host).inspect(str(instance.id)).runs)
    except (AgentUnavailable, AgentRefused) as error:
        logger.warning("Earlier runs of %s are not known: %s", instance.id, error)


def _is_crash(exit: ExitInfo, state: InstanceState) -> bool:
    """An image that cannot be fetched (yet) is the end of no run."""
    unfetched = exit.reason is ExitReason.NOT_STARTED and state is InstanceState.PENDING
    return exit.reason is not ExitReason.CANCELLED and not unfetched


def _run(state: str, restarts: int) -> int:
    """Return the number of the last run that has ended: a restart is counted when its pause is over."""
    return restarts + 1 if state == InstanceState.CRASHED else restarts


def _known_run(instance: Instance) -> int:
    return _run(instance.state, instance.restarts) if instance.last_exit else 0


def _keep(instance: Instance, runs: Iterable[EndedRun]) -> None:
    rows = [_row(instance, one) for one in runs if _is_crash(one.exit, InstanceState.CRASHED)]
    # One may be known from a report already, which does not say since when it ran.
    known = {"unique_fields": ["instance", "at"], "update_fields": ["run", "started_at"]}
    Crash.objects.bulk_create(rows, update_conflicts=True, **known)  # type: ignore[arg-type]
    newest = Crash.objects.filter(app_id=instance.app_id).order_by("-at", "-id").values_list("id", flat=True)
    old = list(newest[KEPT:])
    if old:
        Crash.objects.filter(id__in=old).delete()


def _row(instance: Instance, ended: EndedRun) -> Crash:
    return Crash(
        app_id=instance.app_id,
        instance=instance.id,
        run=max(ended.run, 1),
        dyno=instance.name,
        version=instance.release.version,
        host=instance.host.name,
        exit=stored_exit(ended.exit),
        started_at=_moment(ended.started_at),
        at=_moment(ended.exit.at) or timezone.now(),
    )


def _moment(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
