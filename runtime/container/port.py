"""The port between the agent's decisions and the containers of this host.

In: a `ContainerSpec`.  Out: a process that outlives the agent, and how it ended.
`engine.py` implements it with crun and conmon; unit tests implement it in memory; both pass the same contract tests.
All methods are synchronous, thread-safe, idempotent and bounded in time; the agent calls them in worker threads.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Protocol

from runtime.model import (
    ContainerSpec,
    CopySpec,
    DoctorReport,
    Egress,
    ExecSpec,
    ExitInfo,
    HostNetwork,
    ImageRef,
    Limits,
    Member,
    Network,
    Offer,
    Peer,
    Struct,
)
from runtime.model import Usage as Usage
from runtime.volumes.port import VolumeKeeper


class EngineError(Exception):
    """Something the engine could not do. `str(error)` says what and what to do next; never holds a secret."""


class Bind(Struct):
    """A host path shown inside the container at `target` (file or directory)."""

    source: str
    target: str
    writable: bool = False


class VolumeBind(Struct):
    """A persistent volume of the container's owner, made when missing, shown writable at `target`.

    `size_bytes` is a hard limit; a larger one than before grows the volume. Folders of the directory `packed` that were
    exported beside it last are there again, as they were, in a container with a disk of its own.
    """

    name: str
    target: str
    size_bytes: int
    packed: str = ""


class Created(Struct):
    """A container that exists and waits for `start`. `address` is its IPv4 address ('' without network).

    `notes` are sentences for the app's log: wishes that this host could not meet.
    """

    id: str
    pid: int
    address: str
    notes: tuple[str, ...] = ()


class Observed(Struct):
    """What is known of a container on this host: running (pid, address) or ended (exit)."""

    id: str
    owner: str
    name: str
    running: bool
    pid: int = 0
    address: str = ""
    exit: ExitInfo | None = None
    started_at: float | None = None


class StoredImage(Struct):
    """An image on this host. `used_at`: when it was stored or last mounted; `in_use`: a container runs from it."""

    digest: str
    size: int
    used_at: float
    in_use: bool = False


class StoredVolume(Struct):
    """A volume on this host. `disk_bytes` is what it takes on disk now, not its limit."""

    owner: str
    name: str
    disk_bytes: int
    used_at: float
    in_use: bool = False


class Strain(Struct):
    """How a container stands to its limits. Counters are since it was created; sizes in bytes, 0 where there is none.

    `forks_refused`: at its limit of `pids`. `memory_kills`: processes stopped at `memory_bytes`. `open_files`: of the
    process that has the most, if that is near its limit `nofile`. `forged`: packets dropped for their source address.
    `cores`: processors used on average since the last look, 0 at the first.
    """

    id: str
    forks_refused: int = 0
    pids: int = 0
    memory_kills: int = 0
    memory_bytes: int = 0
    open_files: int = 0
    nofile: int = 0
    layer_used: int = 0
    layer_size: int = 0
    tmp_used: int = 0
    tmp_size: int = 0
    forged: int = 0
    cores: float = 0.0


class Asking(Enum):
    """What becomes of a container's question for a name outside the platform."""

    FREE = 1
    WATCHED = 2  # by its egress rules it may go to what the answer says, which has to be told first
    REFUSED = 3


class Attempt(Struct):
    """Packets of a container (by address) that its egress rules refused, counted while the firewall remembers them.

    `target` '' (and `port` 0): all of the container's together.
    """

    source: str
    target: str
    protocol: str
    port: int
    packets: int


class Execution(Protocol):
    """A further process in a container, on this side of its stdio. Not supervised: it ends with its owner.

    `stdin`, `stdout`, `stderr` are descriptors to write and read (-1: none); with `tty` the first two are one
    terminal. `supervisor` is a process of this host that ends when it has ended.
    """

    pid: int
    supervisor: int
    tty: bool
    stdin: int
    stdout: int
    stderr: int

    def resize(self, rows: int, columns: int) -> None:
        """Give its terminal another size."""

    def signal(self, number: int) -> None:
        """Signal it. A no-op when it is gone."""

    def close_stdin(self) -> None:
        """End its input. A terminal has no such end."""

    def wait(self, timeout: float) -> int | None:
        """Return its status as a shell shows it, None if it still runs."""

    def end(self) -> None:
        """HUP, then KILL it and all that it started; close every descriptor. Call once."""


class Asked(Protocol):
    """Tells at any moment, to any thread, which containers somebody wants or works on, and which of them are jobs."""

    def containers(self) -> frozenset[str]: ...
    def jobs(self) -> frozenset[str]: ...


class Engine(Protocol):
    """The containers of one host."""

    def open(self) -> None:
        """Prepare the host (cgroup parents, firewall table, pool of namespaces, mount namespace). Repeatable.

        Adopts what a previous process left running; removes half-made leftovers. Raises EngineError naming what is
        missing on this host (package, kernel feature) in words.
        """

    def close(self, *, remove: bool) -> None:
        """Leave the host. With `remove`: every container, mount, namespace, cgroup, veth and rule of ours goes."""

    def missing_images(self, refs: tuple[ImageRef, ...]) -> tuple[ImageRef, ...]:
        """Return those of `refs` that are not on this host yet."""

    def add_image(self, ref: ImageRef, file: Path) -> None:
        """Take over a downloaded squashfs (moved, same file system). Raises EngineError if its digest differs."""

    def stored_images(self) -> tuple[StoredImage, ...]:
        """Return every image on this host."""

    def remove_image(self, ref: ImageRef) -> None:
        """Delete an image. Containers that run from it are not disturbed. A no-op when it is gone."""

    def stored_volumes(self) -> tuple[StoredVolume, ...]:
        """Return every volume on this host whose owner is known."""

    def remove_volume(self, owner: str, name: str) -> bool:
        """Delete a volume that no container uses. False when one does; True when it is gone."""

    def keeper(self) -> VolumeKeeper:
        """Return what answers for the first-class volumes of this host."""

    def owners(self) -> tuple[str, ...]:
        """Return the owners that have a user-namespace range on this host."""

    def forget_owner(self, owner: str) -> bool:
        """Free the range of an owner without containers and volumes here. False when it has some; True when free."""

    def examine(self, asked: Asked, *, repair: bool) -> DoctorReport:
        """Look for what is left on this host and belongs to nothing; with `repair` remove it. Takes seconds if so."""

    def create(
        self,
        spec: ContainerSpec,
        *,
        binds: tuple[Bind, ...] = (),
        scratch_bytes: int = 0,
        volumes: tuple[VolumeBind, ...] = (),
    ) -> Created:
        """Make the container, ready to start. Creating an existing id returns it. A half-made one is removed again.

        `scratch_bytes` > 0 puts the writable layer, with /tmp, on disk in a file of that size (builds); else it is in
        memory (tmpfs). Read-only binds belong to the app's user inside, whoever owns them on the host.
        Raises EngineError in the runtime's words when the container cannot be made (reason NOT_STARTED).
        """

    def start(self, container: str) -> None:
        """Run the created process. A no-op when it runs or has ended.

        Raises EngineError when it cannot be run; `wait` then returns reason NOT_STARTED.
        """

    def kill(self, container: str, signal: int) -> None:
        """Signal PID 1; with SIGKILL the whole container. A no-op when it is gone.

        SIGTERM asks it to end: an image that wants to be asked by another signal gets that one.
        """

    def update(self, container: str, limits: Limits) -> None:
        """Put memory, CPU and pids limits in force while it runs; the others are those it was made with.

        Raises EngineError when its memory in use does not fit, with the limits as they were; or when it has ended.
        """

    def weigh(self, container: str, shares: int) -> None:
        """Give it another weight against its neighbours, until `update`. A no-op when it is gone."""

    def hold_back(self, container: str, cores: float | None) -> None:
        """Give it no more processor time than these (None: no limit), until `update`. A no-op when it is gone."""

    def wait(self, container: str, timeout: float) -> ExitInfo | None:
        """Return how it ended, or None if it still runs after `timeout` seconds (0: just look)."""

    def delete(self, container: str) -> None:
        """Remove every trace: process, cgroup, mounts, address, bundle. A no-op when it is gone. The log file stays."""

    def list(self) -> tuple[Observed, ...]:
        """Return every container of ours that exists on this host, running or ended, not yet deleted."""

    def log_path(self, container: str) -> Path:
        """Where conmon writes `RFC3339nano stream F|P text` lines of this container."""

    def reopen_log(self, container: str) -> None:
        """Tell conmon to open `log_path` anew after the agent renamed it."""

    def read_file(self, container: str, path: str, limit: int) -> bytes:
        """Read a file of an ended or running container, at most `limit` bytes; symlinks never lead out of its root."""

    def export(
        self,
        container: str,
        directory: str,
        target: Path,
        *,
        keep_times: bool = False,
        without: tuple[str, ...] = (),
    ) -> ImageRef:
        """Pack `directory` of an ended container as a squashfs, under the same path (owner 1000, times 0 or kept).

        The file is written to `target` and is also an image of this host from then on. `without` are paths, as the
        container knows them, that stay out.
        """

    def image_file(self, ref: ImageRef) -> Path:
        """Where the squashfs of an image on this host is, for uploading. Raises EngineError when it is not here."""

    def attach(self, container: str) -> socket.socket:
        """Connect to its stdio, as `runtime.container.conmon.connect` describes. One connection, shared by clients.

        Raises EngineError when it does not run.
        """

    def resize(self, container: str, rows: int, columns: int) -> None:
        """Give its terminal another size. A no-op without one."""

    def execute(self, container: str, spec: ExecSpec) -> Execution:
        """Run a further process in it. Raises EngineError in the runtime's words when it cannot be run."""

    def copy(self, container: str, spec: CopySpec) -> Execution:
        """Copy files by a further process, whose input or output is the tar stream and whose errors are sentences.

        Raises EngineError when it does not run.
        """

    def dial(self, container: str, port: int) -> socket.socket:
        """Connect to a TCP port as a process inside would, by 127.0.0.1. Raises EngineError when nothing listens."""

    def connect(
        self,
        peers: tuple[Peer, ...],
        members: tuple[Member, ...],
        network: int,
        networks: tuple[Network, ...] = (),
    ) -> None:
        """Join this host to its peers, and the apps of each network; nobody else.

        Repeatable; mends what went missing; restarts nothing.

        Raises EngineError naming the peers that cannot be joined and why; the others are joined all the same.
        """

    def network(self) -> HostNetwork:
        """Return what peers must know of this host."""

    def offer(self) -> Offer:
        """Return what containers here may choose: runtimes and seccomp profiles, as of now."""

    def serve_names(self, port: int) -> None:
        """Lead what containers ask 169.254.1.1 on port 53 to this port of it."""

    def owner_at(self, address: str) -> str | None:
        """Return the app whose container has this address, '' for builds, None for strangers. Quick: no reading."""

    def confine(self, apps: Mapping[str, Egress], builds: Mapping[str, Egress]) -> None:
        """Let the containers of these owners, and their builds, go where their rules say; all others everywhere.

        Repeatable; for running containers too, and for connections that are open. Own instances are always reached.
        Raises EngineError when they could not all be brought into force; call it again then.
        """

    def asks(self, address: str, name: str) -> Asking:
        """Tell what becomes of the question of the container at `address`. Quick: nothing is read."""

    def answered(self, address: str, name: str, addresses: tuple[str, ...], ttl: int) -> None:
        """The container at `address` is about to learn these addresses of `name`, good for `ttl` seconds."""

    def refused(self) -> tuple[Attempt, ...]:
        """Return what egress rules refused, as far as it is remembered: a minute at least."""

    def usage(self, container: str) -> Usage | None:
        """Return its counters, or None when it is gone."""

    def strain(self, container: str) -> Strain | None:
        """Return how one container stands to its limits, also when it has ended; None when it is gone."""

    def strains(self) -> tuple[Strain, ...]:
        """Return those of the containers that have used the processor since the last call, or lost packets.

        Who sleeps meets no limit: so this costs one small file for each idle container.
        """
