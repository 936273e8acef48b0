"""How instances and their runs are.

In: nothing.  Out: types.
"""

from __future__ import annotations

from enum import StrEnum

from runtime.model.base import Address, Count, Moment, Port, Struct
from runtime.model.containers import Limits, NetworkMode
from runtime.model.images import Rootfs
from runtime.model.wanted import HealthCheck


class InstanceState(StrEnum):
    PENDING = "pending"  # accepted, images being fetched
    STARTING = "starting"  # process runs, not yet healthy
    UP = "up"
    UNHEALTHY = "unhealthy"  # was up, checks fail now
    CRASHED = "crashed"  # exited or never became healthy; a restart is due at `restart_at`
    STOPPING = "stopping"  # TERM sent
    STOPPED = "stopped"  # gone because no longer wanted; reported until acknowledged by a newer wanted state


class ExitReason(StrEnum):
    EXITED = "exited"  # by itself, see `code`
    SIGNALED = "signaled"  # killed by a signal, see `signal`
    OOM = "oom"  # the memory limit (R14/R15)
    NOT_STARTED = "not_started"  # could not be created, see `message`
    NOT_FOUND = "not_found"  # command not found (127)
    NOT_EXECUTABLE = "not_executable"  # command not executable (126)
    BOOT_TIMEOUT = "boot_timeout"  # never became healthy within start_timeout (R10)
    UNHEALTHY = "unhealthy"  # ended because its health check failed `restart_threshold` times in a row
    TIMEOUT = "timeout"  # a job ran longer than allowed
    CANCELLED = "cancelled"  # stopped on request
    LOST = "lost"  # its supervisor died, the exit status is unknown


class ExitInfo(Struct):
    """How a run ended. `code` is the wait status as a shell shows it (137 for KILL; 125: it could not be started).
    `at` is Unix seconds.

    `head` and `tail` are the first and the last lines the process wrote, for whoever has to find out why.
    """

    reason: ExitReason
    code: int | None = None
    signal: int | None = None
    at: float = 0.0
    message: str = ""
    tail: tuple[str, ...] = ()
    head: tuple[str, ...] = ()


class InstanceStatus(Struct):
    """What a host says of one instance. `restarts` counts runs after the first. `since` is Unix seconds.

    `limits` are those in force; `limits_problem` says why the wanted ones are not. `health_problem` says why it is
    unhealthy.
    """

    id: str
    state: InstanceState
    since: Moment
    address: Address = ""
    port: Port | None = None
    restarts: Count = 0
    restart_at: Moment | None = None
    last_exit: ExitInfo | None = None
    started_at: Moment | None = None
    limits: Limits | None = None
    limits_problem: str = ""
    health_problem: str = ""


class Usage(Struct):
    """Counters of one container. Bytes and seconds, since it was created.

    `cpu_throttled_seconds`: it had work but its quota was used up. `disk_...`: its writable layer. `read_bytes` and
    `written_bytes`: block devices. `..._pressure_seconds`: some of its tasks waited for that (PSI); None where the
    kernel does not tell (cgroup v1, psi=0).
    """

    memory_bytes: int
    memory_limit_bytes: int
    cpu_seconds: float
    pids: int
    memory_peak_bytes: int = 0
    cpu_throttled_seconds: float = 0.0
    cpu_periods: int = 0
    cpu_throttled_periods: int = 0
    network_received_bytes: int = 0
    network_sent_bytes: int = 0
    disk_used_bytes: int = 0
    disk_limit_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    cpu_pressure_seconds: float | None = None
    memory_pressure_seconds: float | None = None
    io_pressure_seconds: float | None = None


class RunConfig(Struct):
    """What a container is made from, without what may be secret: of the environment only the names."""

    rootfs: Rootfs
    argv: tuple[str, ...]
    cwd: str
    env: tuple[str, ...] = ()
    hostname: str = ""
    port: int | None = None
    limits: Limits = Limits()
    network: NetworkMode = NetworkMode.APP
    grace_seconds: float = 30.0
    tty: bool = False
    stdin: bool = False
    sysctls: dict[str, str] = {}
    ulimits: dict[str, tuple[int, int]] = {}


class EndedRun(Struct):
    """A run that is over: its number (1: the first), how it ended with its first and last lines, what it had used."""

    run: int
    exit: ExitInfo
    started_at: float | None = None
    usage: Usage | None = None


class Inspection(Struct):
    """All that a host knows of one container, also for a while after it is gone. `kind`: instance or job.

    `state` is an InstanceState or a JobState, `gone` when only its `runs` are left (newest first; kept for the time
    that PAAS_AGENT_ENDED_KEEP_MINUTES says). `usage` is what it uses now. Header values of `health` are left out.
    `local`: asked for on this host, not by a controller. `held`: stopped by hand until it is started by hand.
    """

    id: str
    owner: str
    name: str
    kind: str
    state: str
    since: float
    address: str = ""
    port: int | None = None
    restarts: int = 0
    restart_at: float | None = None
    started_at: float | None = None
    limits: Limits | None = None
    limits_problem: str = ""
    health_problem: str = ""
    config: RunConfig | None = None
    health: HealthCheck | None = None
    usage: Usage | None = None
    runs: tuple[EndedRun, ...] = ()
    local: bool = False
    held: bool = False
