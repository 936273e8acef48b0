"""What the scheduler sees and what it answers.

In: a `Snapshot` of one app and the hosts.  Out: a `Plan`: actions, each with its reason, and when to look again.
Times are Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Phase(StrEnum):
    """The steps of a deployment, in order."""

    RELEASE = "release"  # the release command runs with the new image and config
    START = "start"  # new instances start and become healthy; the old ones serve
    CUTOVER = "cutover"  # every process type switches at once; routers get the new table
    DRAIN = "drain"  # the release is live; requests on old instances end, then they stop
    DONE = "done"


class Wanted(StrEnum):
    RUN = "run"
    DRAIN = "drain"
    STOP = "stop"


class CommandState(StrEnum):
    """The release command of a deployment."""

    ABSENT = "absent"  # the release has none
    WAITING = "waiting"  # not started yet
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class Process:
    """A process type of a release. Instances with the same `template` need no restart.

    `base` is the template without the size: instances that differ in nothing else are resized while they run ('': none
    is).
    `volumes`: those it writes to; each has one writer at a time. `host`: where its volumes are (None: anywhere).
    """

    type: str
    quantity: int
    template: str
    memory_bytes: int
    routable: bool
    base: str = ""
    volumes: frozenset[UUID] = frozenset()
    host: UUID | None = None


@dataclass(frozen=True)
class ReleaseView:
    id: UUID
    version: int
    processes: tuple[Process, ...]
    needs: frozenset[str] = frozenset()  # what a host must offer: "runtime runsc", "seccomp mine"
    host: UUID | None = None  # where its release command must run: with its volumes

    def process(self, type_: str) -> Process | None:
        return next((process for process in self.processes if process.type == type_), None)


@dataclass(frozen=True)
class DeploymentView:
    """An active deployment. `routers_ready`: every router serves the table that carries its cut-over."""

    id: UUID
    release: ReleaseView
    phase: Phase
    phase_since: float
    command: CommandState
    command_message: str = ""
    routers_ready: bool = False


@dataclass(frozen=True)
class InstanceView:
    """`up`: healthy. `gone`: its host no longer has it. `failure`: why its last run ended ('' if it never did).

    `base` as in `Process`; `memory_bytes` is what its host has promised it; `refused`: its host says that what it uses
    does not fit in its new size.
    `volumes`: those it writes to, until it is gone.
    """

    id: UUID
    type: str
    number: int
    template: str
    host: UUID
    wanted: Wanted
    wanted_since: float
    up: bool
    gone: bool = False
    restarts: int = 0
    failure: str = ""
    failure_id: str = ""
    drained: bool = False
    base: str = ""
    memory_bytes: int = 0
    refused: bool = False
    volumes: frozenset[UUID] = frozenset()


@dataclass(frozen=True)
class HostView:
    """`ready`: reports arrive and it is not cordoned. `free_bytes`: memory not promised to instances."""

    id: UUID
    ready: bool
    lost: bool
    free_bytes: int
    instances_of_app: int
    offers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Snapshot:
    app: UUID
    current: ReleaseView | None
    deployment: DeploymentView | None
    instances: tuple[InstanceView, ...]
    hosts: tuple[HostView, ...]
    drain_timeout: float = 30.0
    start_timeout: float = 300.0
    routed: bool = True  # a router is there to say when an instance has drained


@dataclass(frozen=True)
class Start:
    """Make an instance of `type` of `release` on `host`."""

    release: UUID
    type: str
    number: int
    template: str
    host: UUID
    reason: str


@dataclass(frozen=True)
class Resize:
    """Give a running instance the size, and the name, that `release` wants; it is not restarted."""

    instance: UUID
    release: UUID
    type: str
    template: str
    reason: str


@dataclass(frozen=True)
class Drain:
    instance: UUID
    reason: str


@dataclass(frozen=True)
class Stop:
    instance: UUID
    reason: str


@dataclass(frozen=True)
class Forget:
    """Drop the row of an instance that its host no longer has."""

    instance: UUID
    reason: str


@dataclass(frozen=True)
class RunCommand:
    """Start the release command of the deployment on `host`."""

    deployment: UUID
    host: UUID
    reason: str


@dataclass(frozen=True)
class Advance:
    deployment: UUID
    to: Phase
    reason: str


@dataclass(frozen=True)
class Fail:
    deployment: UUID
    error_id: str
    reason: str


Action = Start | Resize | Drain | Stop | Forget | RunCommand | Advance | Fail


@dataclass(frozen=True)
class Plan:
    actions: tuple[Action, ...]
    wake_at: float | None = None
