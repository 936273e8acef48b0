"""What a host must have before containers can run.

In: the host.  Out: nothing, or an EngineError that names everything missing and how to get it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from runtime.container.port import EngineError

INIT = Path("/usr/bin/catatonit")
_PACKAGES = {
    "conmon": "conmon",
    "catatonit": "catatonit",
    "mksquashfs": "squashfs-tools",
    "mkfs.ext4": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "resize2fs": "e2fsprogs",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "tune2fs": "e2fsprogs",
}
_FILESYSTEMS = ("overlay", "squashfs", "ext4")
_SBIN = ("/usr/sbin", "/sbin", "/usr/local/sbin")


def search_path() -> str:
    """Return PATH with the sbin directories, which service managers and `su` may leave out."""
    present = os.environ.get("PATH", "/usr/bin:/bin").split(":")
    return ":".join([*present, *(directory for directory in _SBIN if directory not in present)])


def check(runtime: str) -> str:
    """Return the full path of the OCI runtime, which conmon wants.

    Raise EngineError naming the missing packages, or the missing kernel feature.
    """
    if os.geteuid() != 0:
        raise EngineError("The container engine must run as root: it makes namespaces and mounts.")
    os.environ["PATH"] = search_path()
    wanted = _PACKAGES | {runtime: Path(runtime).name}
    missing = sorted({package for tool, package in wanted.items() if shutil.which(tool) is None})
    if missing:
        raise EngineError(f"Programs are missing on this host: apt install {' '.join(missing)}.")
    _check_kernel()
    return shutil.which(runtime) or runtime


def _check_kernel() -> None:
    offered = _offered()
    if absent := [name for name in _FILESYSTEMS if name not in offered]:
        _load_modules(*absent)
        if still := [name for name in absent if name not in _offered()]:
            raise EngineError(
                f"The kernel lacks the file systems {', '.join(still)}; use Debian's own kernel."
            )
    if not Path("/dev/loop-control").exists():
        _load_modules("loop")
        if not Path("/dev/loop-control").exists():
            raise EngineError(
                "The kernel has no loop devices: run modprobe loop, or use Debian's own kernel."
            )


def _offered() -> set[str]:
    return {line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines() if line.strip()}


def _load_modules(*names: str) -> None:
    modprobe = shutil.which("modprobe")
    if modprobe:
        subprocess.run([modprobe, "-a", *names], capture_output=True, timeout=60, check=False)
