"""What a container is to be.

In: nothing.  Out: types.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from runtime.model.base import Address, Id, Size, Struct
from runtime.model.images import Rootfs


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


class LimitsChange(Struct):
    """Limits to change; None: as it is. `cpu_cores` 0 takes the quota away."""

    memory_bytes: Annotated[int, msgspec.Meta(ge=1024**2, le=2**62)] | None = None
    cpu_shares: Annotated[int, msgspec.Meta(ge=2, le=262144)] | None = None
    cpu_cores: Annotated[float, msgspec.Meta(ge=0, le=4096)] | None = None
    pids: Annotated[int, msgspec.Meta(ge=1, le=4194304)] | None = None
