"""The types a host agent speaks: wanted state and jobs in, host reports out.

In: JSON bodies from the controller.  Out: frozen values; `decode` and `encode` are the only conversions.

Every value here is immutable and safe to store, resend, reorder and repeat. Identifiers (`id`) are chosen by
whoever asks (the planner), so that starting what runs and stopping what is gone are no-ops.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, TypeVar, dataclass_transform

import msgspec

from runtime import shapes
from runtime.egress import MAX_EGRESS_RULES as MAX_EGRESS_RULES
from runtime.egress import Egress as Egress
from runtime.egress import EgressRule as EgressRule
from runtime.egress import parse_egress_rule as parse_egress_rule
from runtime.egress import show_egress_rule as show_egress_rule
from runtime.kernel import SYSCTLS as SYSCTLS
from runtime.kernel import ULIMITS as ULIMITS
from runtime.kernel import check_ulimit as check_ulimit
from runtime.kernel import parse_sysctl as parse_sysctl
from runtime.kernel import parse_ulimit as parse_ulimit
from runtime.kernel import show_ulimit as show_ulimit

T = TypeVar("T")

# What a reader can count on: numbers that a database column holds and a calendar has, addresses and ports that exist.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Size = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Moment = Annotated[float, msgspec.Meta(ge=0, le=250_000_000_000)]  # Unix seconds
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Address = Annotated[str, msgspec.Meta(pattern=r"^([0-9A-Fa-f.:]{2,45})?\Z")]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=False, kw_only=True):
    """Base of all values on the wire: frozen, keyword-only, unknown fields refused."""


class ImageRef(Struct):
    """A squashfs image by content: `digest` is `sha256:<64 hex>`, `size` in bytes."""

    digest: str
    size: int = 0


class Rootfs(Struct):
    """The root of a container: squashfs layers, topmost first, over an optional host stack.

    `layers` may be empty only when `host` is true. `host` puts the host's own `/usr` (read-only) with a
    synthesised `/etc` at the bottom: a quick stack for tests and small boxes.
    """

    layers: tuple[ImageRef, ...] = ()
    host: bool = False


class Limits(Struct):
    """What one container may use. Sizes in bytes; `cpu_cores` is a hard quota (None: none), `cpu_shares` a weight."""

    memory_bytes: int = 512 * 1024**2
    cpu_shares: int = 1024
    cpu_cores: float | None = None
    pids: int = 512
    writable_bytes: int = 512 * 1024**2
    tmp_bytes: int = 128 * 1024**2
    nofile: int = 16384


class NetworkMode(StrEnum):
    """`app`: own namespace, may talk to the same owner and out. `build`: own namespace, out only. `none`: loopback."""

    APP = "app"
    BUILD = "build"
    NONE = "none"


IMAGE_BUILD = "image-build"  # a seccomp profile of every host's, for containers in which images are built

Id = Annotated[int, msgspec.Meta(ge=0, le=65535)]  # of a user or group, inside


class Account(Struct):
    """Whom a container's processes run as, in numbers inside its user namespace.

    `capable`: for images that cannot do without root. Their processes get the eleven capabilities that podman gives
    (`runtime.container.bundle`), which reach no further than the user namespace; a host without one refuses them.
    """

    uid: Id = 1000
    gid: Id = 1000
    groups: tuple[Id, ...] = ()
    capable: bool = False


class VolumeMount(Struct):
    """A volume of the container's owner, shown at `target`. It has one writer at a time, and any number of readers.

    `size_bytes` > 0: it is made with that size when missing, and grown when smaller; 0: it must exist.
    """

    name: str
    target: str
    read_only: bool = False
    size_bytes: Size = 0


class ContainerSpec(Struct):
    """One container, complete: what crun is told follows from this value and the host alone.

    `owner` is the app's id: it picks the user-namespace range and the firewall set. `name` is the DYNO-style name
    (`web.1`, `run.4711`). `argv` runs in `cwd` as uid 1000 under an init. `env` holds secrets: it never reaches a
    log or a process list. `port` is what the process must listen on (None: it does not listen).
    `stdin`: clients may write to it; with `tty` it gets a terminal, else a pipe. `logged`: its output is kept and
    shipped; without it only attached clients see it. `sysctls` and `ulimits` (soft and hard, -1: no limit) are those
    that `runtime.kernel` allows; a ulimit above what the host allows its agent is cut, an unknown sysctl is refused.
    `runtime` and `seccomp` name one of the host's runtimes and seccomp profiles ('': its defaults); a name that the
    host has not is refused. `readonly`: nothing but /tmp, /dev/shm, binds and volumes can be written.
    `foreign`: the root is an image that the platform did not make, and is left as it is but for mount points;
    `stop_signal` asks its program to end.
    `bundle` is a directory of the host with a standard OCI bundle: root, command, environment, user and more are then
    those of its config.json, and `rootfs`, `argv`, `env` and `cwd` stay empty; `limits` are the most it can have.
    `address`: the one it must have, of its host's subnet ('': any that is free).
    """

    id: str
    owner: str
    name: str
    rootfs: Rootfs
    argv: tuple[str, ...]
    env: dict[str, str] = {}
    cwd: str = "/app"
    hostname: str = ""
    port: int | None = None
    limits: Limits = Limits()
    network: NetworkMode = NetworkMode.APP
    address: Address = ""
    grace_seconds: float = 30.0
    tty: bool = False
    stdin: bool = False
    logged: bool = True
    sysctls: dict[str, str] = {}
    ulimits: dict[str, tuple[int, int]] = {}
    runtime: str = ""
    seccomp: str = ""
    readonly: bool = False
    account: Account = Account()
    foreign: bool = False
    stop_signal: Annotated[int, msgspec.Meta(ge=1, le=64)] = 15
    volumes: tuple[VolumeMount, ...] = ()
    bundle: str = ""


class HealthKind(StrEnum):
    HTTP = "http"  # GET path on the port answers with one of `statuses`
    TCP = "tcp"  # the port accepts a connection
    COMMAND = "command"  # `command`, run inside, ends with 0
    STEADY = "steady"  # it has run for steady_seconds without exiting


class HealthCheck(Struct):
    """When an instance counts as up. Times in seconds.

    Until first up it is polled fast (every 0.1 s, a command every 0.5 s); `start_timeout` later it has failed (R10).
    Afterwards every `interval`; `unhealthy_threshold` failures in a row make it unhealthy, which takes it out of
    traffic; `healthy_threshold` successes in a row make it up (again). `restart_threshold` > 0 is a liveness check:
    that many failures in a row end it, and it is started anew (0: never). Within `start_period` of its start no
    failure counts, and it is not too late to become healthy.
    HTTP: `statuses` are the first and the last status that will do; `headers` are added to the request, a `Host`
    among them replaces the address; `content` is text that the first 64 KiB of the answer must hold.
    """

    kind: HealthKind = HealthKind.TCP
    path: str = "/"
    interval: float = 5.0
    timeout: float = 3.0
    start_timeout: float = 60.0
    unhealthy_threshold: int = 3
    steady_seconds: float = 1.0
    healthy_threshold: int = 1
    restart_threshold: int = 0
    start_period: float = 0.0
    statuses: tuple[int, int] = (200, 399)
    headers: dict[str, str] = {}
    command: tuple[str, ...] = ()
    content: str = ""


class InstanceSpec(Struct):
    """A container that must keep running: restarted by the agent with back-off until it is no longer wanted."""

    container: ContainerSpec
    health: HealthCheck = HealthCheck()


class Peer(Struct):
    """Another host of the platform: its `address` on the network between the hosts (underlay), and the subnet that
    its containers have. `public_key` is WireGuard's, in base 64 ('' without)."""

    host: str
    address: Address
    subnet: str
    public_key: str = ""


class Member(Struct):
    """A container on another host. `name` as in its spec (`web.1`); `up`: it is healthy, and its names lead to it."""

    owner: str
    address: Address
    name: str = ""
    up: bool = True


class NetworkMember(Struct):
    """An app in a network. Its instances are found at `ALIAS.NETWORK.internal`."""

    owner: str
    aliases: tuple[str, ...] = ()


class Network(Struct):
    """A named network: its members' containers reach each other and find each other's names. Members of an `internal`
    one reach nothing outside."""

    name: str
    internal: bool = False
    members: tuple[NetworkMember, ...] = ()


class WantedState(Struct):
    """Everything a host must run. What is not in it is stopped. Older generations than the stored one are ignored.

    `peers` are all other hosts, `members` the containers there that belong to apps; the host itself may be among
    the peers. `network` tells platforms on the same machines apart (the VXLAN network identifier). `apps` names
    owners for DNS: `web.NAME.internal`; an owner without a name goes by its id. `egress` says where owners may go;
    who is not in it may go everywhere. `build_egress` is the same for their builds. `networks` join owners. All three
    change live. `leaving` are those of the instances that still run and take nothing new: no name leads to them.
    """

    generation: int
    instances: tuple[InstanceSpec, ...] = ()
    peers: tuple[Peer, ...] = ()
    members: tuple[Member, ...] = ()
    network: Annotated[int, msgspec.Meta(ge=1, le=2**24 - 1)] = 1
    apps: dict[str, str] = {}
    egress: dict[str, Egress] = {}
    build_egress: dict[str, Egress] = {}
    networks: tuple[Network, ...] = ()
    leaving: tuple[str, ...] = ()


class JobInput(Struct):
    """A file fetched from the controller (`path` is absolute there) and bound read-only at `target`."""

    path: str
    target: str


class JobOutput(Struct):
    """What to keep of a job that ended with 0: `directory` becomes a slug (squashfs), uploaded by digest.

    `dependencies`: the job's result (JSON) may name, in a list of that name, folders below `directory` that become
    images of their own, with all times 0: what is installed there stays the same image while the app's code changes.

    `keep_times`: files keep their times, which the job has set so that equal input gives equal bytes (web servers
    make ETags of them); else every time becomes 0.

    `offer`: folders of `directory` that the last job with this cache made images of are there again when it starts, as
    they were packed. The job takes them or moves them away: a folder that comes back unchanged is the same image.
    """

    directory: str = "/app"
    keep_times: bool = False
    dependencies: bool = False
    offer: bool = False


class JobSpec(Struct):
    """A container that runs once: a build, a release phase, a one-off. Times in seconds.

    `cache` names a persistent volume (one per app and use, at most `cache_bytes`) bound read-write at `/cache`.
    `result_path` names a small file (at most 1 MiB) whose text is returned as `JobStatus.result`.
    `attach_seconds` > 0: it starts when the first client attaches, which must be within that time, and is ended
    (HUP, TERM, KILL) when the last one has left.
    """

    container: ContainerSpec
    timeout: float = 1800.0
    inputs: tuple[JobInput, ...] = ()
    output: JobOutput | None = None
    cache: str = ""
    cache_bytes: int = 2 * 1024**3
    result_path: str = ""
    attach_seconds: float = 0.0


class ExecSpec(Struct):
    """A further process in a running container, in its sandbox and environment; `env` is added to it.

    `cwd` '' means the container's own. With `tty` it gets a terminal of `rows` by `columns` (0: not known).
    """

    argv: tuple[str, ...]
    env: dict[str, str] = {}
    cwd: str = ""
    tty: bool = False
    rows: int = 0
    columns: int = 0


class CopySpec(Struct):
    """Files into a running container (`into`: a tar stream comes as input) or out of it (it comes as output).

    `path` is absolute inside. Out: the file or folder, under its own name. Into: a folder that is there, or ends with
    `/`, gets what comes; else what comes is put at `path`, under that name. Read and written as the app's user, within
    its limits.
    """

    path: str
    into: bool = False


class ExecMade(Struct):
    """A process that starts when somebody attaches to `/v1/containers/ID/execs/{id}`, within a minute."""

    id: str


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


class JobState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    PACKAGING = "packaging"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class LimitKind(StrEnum):
    """What a container can run into without being ended by it."""

    PROCESSES = "processes"
    MEMORY = "memory"
    DISK = "disk"
    TEMPORARY = "temporary"


class JobStatus(Struct):
    """What a host says of one job. `timings` are seconds per step (fetch, create, run, package, upload).

    `layers` lie below the slug: images of the folders that the job named as dependencies. `uploaded` counts the bytes
    that the image store did not have yet. `limits_met`: of a failed one, the limits that something in it ran into.
    """

    id: str
    state: JobState
    since: Moment
    exit: ExitInfo | None = None
    result: str = ""
    slug: ImageRef | None = None
    layers: tuple[ImageRef, ...] = ()
    uploaded: Annotated[int, msgspec.Meta(ge=0)] = 0
    message: str = ""
    timings: dict[str, float] = {}
    limits_met: tuple[LimitKind, ...] = ()


class Capacity(Struct):
    memory_bytes: Size
    cpus: Count


class HostNetwork(Struct):
    """How a host can be reached by its peers: what `Peer` needs. `problem` says why it is not joined to them."""

    subnet: str = ""
    underlay: Address = ""
    public_key: str = ""
    problem: str = ""


class OfferedRuntime(Struct):
    """An OCI runtime that apps can choose on a host. `problem` says why it cannot be used there now ('': it can)."""

    name: str
    version: str = ""
    problem: str = ""


class Offer(Struct):
    """What apps can choose on a host: runtimes, its default first, and the operator's seccomp profiles."""

    runtimes: tuple[OfferedRuntime, ...] = ()
    seccomp: tuple[str, ...] = ()


class HostReport(Struct):
    """Sent on every change and every few seconds. `generation` is the wanted state in force. Whole, never a delta.

    `jobs` come without their `result`; ask for the job to get it.
    """

    host: str
    sequence: Size
    generation: Size
    capacity: Capacity
    instances: tuple[InstanceStatus, ...] = ()
    jobs: tuple[JobStatus, ...] = ()
    network: HostNetwork = HostNetwork()
    offer: Offer = Offer()
    version: str = ""


class ReportReply(Struct):
    """The controller's answer to a report: the newest wanted state if the host's is older, else None."""

    wanted: WantedState | None = None


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


class LimitsChange(Struct):
    """Limits to change; None: as it is. `cpu_cores` 0 takes the quota away."""

    memory_bytes: Annotated[int, msgspec.Meta(ge=1024**2, le=2**62)] | None = None
    cpu_shares: Annotated[int, msgspec.Meta(ge=2, le=262144)] | None = None
    cpu_cores: Annotated[float, msgspec.Meta(ge=0, le=4096)] | None = None
    pids: Annotated[int, msgspec.Meta(ge=1, le=4194304)] | None = None


class SignalRequest(Struct):
    """Send `number` to the first process of a container; 9 ends the whole of it."""

    number: Annotated[int, msgspec.Meta(ge=1, le=64)]


class HeldImage(Struct):
    """An image on a host. `used_at`: when it was fetched or last used; `in_use`: a container runs from it."""

    digest: str
    size: int
    used_at: float
    in_use: bool = False


class HeldImages(Struct):
    images: tuple[HeldImage, ...] = ()


class VolumeSpec(Struct):
    """A volume to make. `id` is chosen by whoever asks. `name` is unique per owner; `size_bytes` is what it can hold.

    `source` 'VOLUME-ID/SNAPSHOT' starts it as a copy of that snapshot, at least as large as it.
    """

    id: str
    owner: str
    name: str
    size_bytes: Size
    source: str = ""


class VolumeHolder(Struct):
    """Who has a volume mounted: a container, or a snapshot being taken (`container` '')."""

    container: str
    name: str
    read_only: bool = False


class VolumeStatus(Struct):
    """A volume on this host. Bytes: `used_bytes` of `size_bytes` inside, `disk_bytes` on the host's disk with its
    snapshots. `retained`: nobody's, kept until it is attached or removed. `orphan`: its owner has no container here.
    """

    id: str
    owner: str
    name: str
    size_bytes: Size
    used_bytes: Size
    disk_bytes: Size
    created_at: Moment
    storage_class: str = "local"
    source: str = ""
    retained: bool = False
    orphan: bool = False
    snapshots: Count = 0
    holders: tuple[VolumeHolder, ...] = ()


class VolumeList(Struct):
    volumes: tuple[VolumeStatus, ...] = ()


class Snapshot(Struct):
    """A volume as it was at `created_at`. `disk_bytes`: what it takes, less what it shares (reflink) is not known."""

    name: str
    volume: str
    created_at: Moment
    size_bytes: Size
    disk_bytes: Size = 0


class SnapshotList(Struct):
    snapshots: tuple[Snapshot, ...] = ()


class VolumeChange(Struct):
    """What is to be done with a volume: a new size, a snapshot to take or to go back to, a new owner and name."""

    size_bytes: Size = 0
    snapshot: str = ""
    owner: str = ""
    name: str = ""


class ErrorBody(Struct):
    """What the agent answers with a 4xx or 5xx: a stable id and a sentence."""

    id: str
    message: str


def encode(value: Struct) -> bytes:
    """Return the JSON of a value."""
    return msgspec.json.encode(value)


def decode(data: bytes, type_: type[T]) -> T:
    """Read JSON into `type_`. Raises `ValueError` (msgspec.ValidationError) naming the field that is wrong."""
    return shapes.decode(data, type_)


def to_builtins(value: Struct) -> Any:
    """Return plain dicts and lists, for storing in a JSON column."""
    return msgspec.to_builtins(value)


def from_builtins(data: Any, type_: type[T]) -> T:
    """The inverse of `to_builtins`. Raises `ValueError` naming the field that is wrong."""
    return shapes.convert(data, type_)
