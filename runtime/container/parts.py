"""What an engine works with, and what it is asked to make.

In: nothing.  Out: `Parts`, made when an engine opens, and `Request`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from runtime.container import process, runtimes
from runtime.container.cgroup import CgroupV1, CgroupV2
from runtime.container.grace import Grace
from runtime.container.layout import Layout
from runtime.container.namespace import MountNamespace
from runtime.container.owners import Owners, UserNamespaces
from runtime.container.port import Bind, VolumeBind
from runtime.container.sealed import Sealed
from runtime.images.shifting import Lowers
from runtime.images.store import Images
from runtime.model import ContainerSpec
from runtime.network import rules
from runtime.network.cni.network import CniNetwork
from runtime.network.confinement import Confinement
from runtime.network.nftables import Nftables
from runtime.network.pool import Pool
from runtime.network.wiring import Wiring
from runtime.volumes.store import VolumeStore
from runtime.volumes.volumes import Volumes


@dataclass(frozen=True, slots=True)
class Request:
    """What `Engine.create` was asked for."""

    spec: ContainerSpec
    binds: tuple[Bind, ...]
    scratch_bytes: int
    volumes: tuple[VolumeBind, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """The engine's parts, as one value. `isolated`: containers get a user namespace of their own."""

    layout: Layout
    runtime: str
    runtimes: runtimes.Runtimes
    sealed: Sealed
    seccomp_dir: Path
    hooks_dirs: tuple[Path, ...]
    apparmor: str
    cgroups: CgroupV1 | CgroupV2
    owners: Owners
    namespaces: UserNamespaces
    images: Images
    lowers: Lowers
    volumes: Volumes
    data: VolumeStore
    pool: Pool | CniNetwork
    firewall: Nftables
    names: rules.Names
    wiring: Wiring
    confinement: Confinement
    grace: Grace
    mounts: MountNamespace
    isolated: bool
    ca_bundle: Path | None
    nameservers: tuple[str, ...]
    boot_id: str = field(default_factory=process.boot_id)
