"""Reading what runs: instances and one-off processes, in Heroku's words "dynos".

In: an app.  Out: frozen rows for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from paas.controller.models import App, Instance, OneOff
from paas.controller.selectors.formation import DEFAULT_SIZE
from paas.controller.selectors.planning import describe_exit, exit_info
from paas.controller.texts import storable
from paas.errors import NotFound
from runtime.model import InstanceState, JobState

INSTANCE_WORDS = {
    InstanceState.PENDING: "starting",
    InstanceState.STARTING: "starting",
    InstanceState.UP: "up",
    InstanceState.UNHEALTHY: "crashed",
    InstanceState.CRASHED: "crashed",
    InstanceState.STOPPING: "stopping",
    InstanceState.STOPPED: "down",
}
JOB_WORDS = {
    JobState.PENDING: "starting",
    JobState.RUNNING: "up",
    JobState.PACKAGING: "up",
    JobState.SUCCEEDED: "complete",
    JobState.FAILED: "crashed",
}


@dataclass(frozen=True)
class Dyno:
    """One container as people see it. `restarts`: runs after the first; `exit_message`: how the last ended;
    `health_message`: why it is not healthy now."""

    id: UUID
    name: str
    type: str
    command: str
    size: str
    state: str  # starting, up, crashed, stopping, down, complete
    release_id: UUID
    release_version: int
    created_at: datetime
    updated_at: datetime
    since: datetime
    host: str
    restarts: int = 0
    exit_message: str = ""
    health_message: str = ""


def dynos(app: App) -> list[Dyno]:
    """Return instances and unfinished one-offs, by type and number."""
    instances = app.instances.select_related("release", "host").exclude(state=InstanceState.STOPPED)
    one_offs = app.one_offs.select_related("release", "host").filter(finished_at__isnull=True)
    found = [_instance(one) for one in instances] + [_one_off(one) for one in one_offs]
    return sorted(
        found, key=lambda dyno: (dyno.type != "web", dyno.type, _number(dyno.name), dyno.created_at)
    )


def find_dyno(app: App, name_or_id: str) -> Dyno:
    """Return one dyno, finished one-offs included. Raises NotFound."""
    identity = as_uuid(name_or_id)
    for dyno in reversed(dynos(app)):
        if dyno.name == name_or_id or dyno.id == identity:
            return dyno
    ended = app.one_offs.select_related("release", "host").filter(name=storable(name_or_id)).first()
    if ended is None and identity:
        ended = app.one_offs.select_related("release", "host").filter(id=identity).first()
    if ended is None:
        raise NotFound(f"Couldn't find that process: {name_or_id}.", app=app.name, resource="dyno")
    return _one_off(ended)


def as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _number(name: str) -> int:
    number = name.rpartition(".")[2]
    return int(number) if number.isdigit() else 0


def _instance(one: Instance) -> Dyno:
    entry = one.release.formation.get(one.process_type, {})
    state = INSTANCE_WORDS[InstanceState(one.state)]
    info = exit_info(one.last_exit)
    return Dyno(
        id=one.id,
        name=one.name,
        type=one.process_type,
        command=entry.get("command", ""),
        size=entry.get("size", DEFAULT_SIZE),
        state=state if one.wanted == Instance.Wanted.RUN else "stopping",
        release_id=one.release_id,
        release_version=one.release.version,
        created_at=one.created_at,
        updated_at=one.updated_at,
        since=one.state_since,
        host=one.host.name,
        restarts=one.restarts,
        exit_message=describe_exit(info) if info else "",
        health_message=one.health_problem,
    )


def _one_off(one: OneOff) -> Dyno:
    info = exit_info(one.exit)
    return Dyno(
        id=one.id,
        name=one.name,
        type=one.name.rpartition(".")[0],
        command=one.command,
        size=one.size,
        state="stopping" if one.stop_requested and not one.finished_at else JOB_WORDS[JobState(one.state)],
        release_id=one.release_id,
        release_version=one.release.version,
        created_at=one.created_at,
        updated_at=one.updated_at,
        since=one.updated_at,
        host=one.host.name,
        exit_message=describe_exit(info) if info else "",
    )
