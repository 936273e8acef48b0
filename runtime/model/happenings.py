"""What a host tells: output, events, what was cleared away, what its doctor found.

In: nothing.  Out: types.
"""

from __future__ import annotations

from enum import StrEnum

from runtime.model.base import Moment, Struct
from runtime.model.instances import ExitInfo


class Stream(StrEnum):
    STDOUT = "stdout"
    STDERR = "stderr"
    SYSTEM = "system"  # the agent's own words: started, exited, lines lost


class LogLine(Struct):
    """One line of output without its newline. `cursor` grows per container and resumes a stream; `at` Unix seconds."""

    cursor: int
    at: Moment
    stream: Stream
    text: str


class LogBatch(Struct):
    """Lines of one container on their way to the controller.

    `lost` counts lines dropped on the way; where they are missing, a SYSTEM line of `lines` says so (L10).
    """

    container: str
    owner: str
    name: str
    lines: tuple[LogLine, ...] = ()
    lost: int = 0


class EventKind(StrEnum):
    CREATED = "created"  # the container exists
    STARTED = "started"  # its process runs
    UP = "up"
    UNHEALTHY = "unhealthy"
    EXITED = "exited"  # see `exit`
    OOM = "oom"  # exited at its memory limit, see `exit`
    KILLED = "killed"  # the agent sent SIGKILL: out of grace, or it did not boot in time
    REFUSED = "refused"  # it tried to go where its app's egress rules do not let it
    REMOVED = "removed"  # nothing of it is left on the host
    LIMIT = "limit"  # it met one of its limits and goes on, see `message`
    PULLED = "pulled"  # an image was fetched; `container` is empty, `message` says which
    PULL_FAILED = "pull_failed"  # an image could not be fetched; it is tried again
    UPDATED = "updated"  # other limits are in force
    VOLUME = "volume"  # made, grown, full, repaired, removed …: `message` says which and what
    PRUNED = "pruned"  # an image, cache, range or leftover was removed; `container` is empty


class HostEvent(Struct):
    """Something that happened on a host. `number` grows by one per event, over restarts too. `at` Unix seconds."""

    number: int
    at: float
    kind: EventKind
    container: str = ""
    owner: str = ""
    name: str = ""
    message: str = ""
    exit: ExitInfo | None = None


class EventPage(Struct):
    """Events after the number asked for. `first` and `last` are the oldest and newest number kept (0: none yet);
    whoever asked for less than `first` - 1 has missed some and should look at the whole report."""

    events: tuple[HostEvent, ...] = ()
    first: int = 0
    last: int = 0


class Pruned(Struct):
    """What one round of clearing removed. `items` are sentences, `bytes` what the files took."""

    items: tuple[str, ...] = ()
    bytes: int = 0


class Finding(Struct):
    """Something on a host that nobody answers for. `problem` says what and why; `failed` why it was not repaired."""

    kind: str
    name: str
    problem: str
    repaired: bool = False
    failed: str = ""


class DoctorReport(Struct):
    """What the doctor found; nothing when the host is clean."""

    findings: tuple[Finding, ...] = ()
