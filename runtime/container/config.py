"""What an engine is told about its host and its platform.

In: the agent's settings.  Out: one frozen value that the engine and its opening share.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """`home`: this agent's data directory. `tag`: short, unique per platform on this machine. `subnet`: an
    IPv4 network that no other platform or neighbour uses; each container gets one address. `blocked`:
    addresses and networks that tenants must not reach, besides the host's own and the metadata service.
    `pool_size`: network namespaces kept ready, 0.25 MB of kernel memory each and no processor time.
    `user_namespaces`: False gives containers none, for tests. `shift`: how images get the owners that user
    namespaces want, a `runtime.images.shifting.Shift` ('': the kernel decides). `overlay`: how hosts reach
    each other's containers, a `runtime.network.overlay.Mode`; `underlay`: this host's own address among them
    ('': that of the default route). `runtimes`: further OCI runtimes by name that apps may choose (None:
    those found on PATH). `seccomp_dir`: the operator's profiles. `hooks_dirs`: the operator's hooks. `cni`:
    the CNI network that containers are on, '' for the agent's own."""

    home: Path
    tag: str
    subnet: str
    runtime: str = "crun"
    pool_size: int = 16
    blocked: tuple[str, ...] = ()
    ca_bundle: Path | None = None
    user_namespaces: bool | None = None
    shift: str = ""
    overlay: str = "auto"
    underlay: str = ""
    runtimes: tuple[tuple[str, str], ...] | None = None
    seccomp_dir: Path = Path("/etc/paas/seccomp")
    hooks_dirs: tuple[Path, ...] = (Path("/etc/paas/hooks.d"),)
    cni: str = ""
    cni_conf_dir: Path = Path("/etc/cni/net.d")
    cni_bin_dir: Path = Path("/usr/lib/cni")
    cni_seconds: float = 30.0
