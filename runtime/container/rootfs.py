"""The root of a container: an overlay of its images under a writable layer of limited size.

In: lower directories (topmost first), an owner's range, sizes.  Out: one mount at `target`.
The overlay keeps private copies of all it is made of, so lower and upper mounts are dropped as soon as it stands:
a single umount of `target` frees everything, down to the loop device. Only a writable layer on disk stays in reach
beside it: what its page cache has not written yet is thrown away with it, instead of being written first.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from runtime.container import syscalls
from runtime.container.owners import APP_UID, WIDTH, UserNamespaces
from runtime.container.port import EngineError
from runtime.model import Struct
from runtime.volumes import loop

# Made as real directories in the writable layer: whatever an image has there (a link to a host path, a file) is
# covered. crun 1.8 follows a symlinked /dev onto the host (CVE-2026-47766).
_MOUNT_POINTS = ("dev", "proc", "sys")
_ROOT_OWNED = (*_MOUNT_POINTS, "etc", "var", "usr")
_STICKY = ("tmp", "var/tmp")
_APP_OWNED = ("app", "run")
SCRATCH = "scratch"  # where the disk of a writable layer stays in reach, to be thrown away unwritten
UPPER = "data"


class Writable(Struct):
    """The writable layer: in memory (`scratch` ''), or on disk in the file `scratch`. Bytes.

    `tmp` > 0 makes /tmp a file system of its own in memory; 0 leaves it on the writable layer.
    `foreign`: directories of the app are the image's business. `idmapped`: the lower directories are to be, too.
    `redirected`: a folder of a lower layer may be moved without being copied; the kernel notes where it came from.
    """

    size: int
    scratch: str = ""
    tmp: int = 0
    foreign: bool = False
    idmapped: bool = True
    redirected: bool = False


def assemble(
    work: Path, lowers: tuple[Path, ...], uid_start: int | None, writable: Writable, files: dict[str, str],
    namespaces: UserNamespaces, host_usr: Path | None, *, bare: bool = False,
) -> Path:  # fmt: skip
    """Mount the root at `work`/rootfs and return that. `files` (name under etc → text) are written to its /etc.

    `bare`: of its furniture only what keeps mounts within it; the rest is the image's own.
    """
    target, upper = work / "rootfs", work / "upper"
    for directory in (target, upper):
        directory.mkdir(mode=0o755, parents=True)
    base = uid_start or 0
    try:
        _mount_writable(upper, writable, base)
        _furnish(upper / "data", base, files, foreign=writable.foreign, bare=bare)
        shift = uid_start if writable.idmapped else None
        shown = [_show_lower(upper / f"l{n}", path, shift, namespaces) for n, path in enumerate(lowers)]
        options = f"lowerdir={':'.join(map(str, shown))},upperdir={upper}/data,workdir={upper}/work"
        options += ",redirect_dir=on" if writable.redirected else ""
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
        syscalls.mount("overlay", target, "overlay", flags, options)
        if writable.scratch:
            (work / SCRATCH).mkdir(mode=0o700)
            syscalls.bind(upper, work / SCRATCH, syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV)
        if writable.tmp:
            syscalls.mount(
                "paas-tmp",
                target / "tmp",
                "tmpfs",
                flags,
                f"size={writable.tmp},mode=1777,uid={base},gid={base}",
            )
        if host_usr is not None:
            _show_host_usr(host_usr, target / "usr", uid_start, namespaces)
    except OSError as error:
        dismantle(work)
        raise EngineError(f"The root file system could not be mounted: {error}.") from error
    finally:
        with contextlib.suppress(OSError):
            syscalls.umount(
                upper
            )  # and the lower ones below it: the kernel makes each umount wait, so one for all
        with contextlib.suppress(OSError):
            upper.rmdir()
    return target


def mount_sysfs(target: Path, netns: str) -> None:
    """Mount /sys as the network namespace `netns` sees it.

    Inside, crun could not (the namespace belongs to the host) and would show the host's /sys instead, writable, with
    every control group of the host in it.
    """
    host = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        inner = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(inner, syscalls.CLONE_NEWNET)
        finally:
            os.close(inner)
        try:
            flags = syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
            syscalls.mount("sysfs", target, "sysfs", flags)
        finally:
            syscalls.setns(host, syscalls.CLONE_NEWNET)
    finally:
        os.close(host)


def dismantle(work: Path) -> None:
    """Unmount and remove everything under `work`. Nothing when it is gone."""
    if not work.is_dir():
        return
    with contextlib.suppress(OSError):
        loop.discard(work / SCRATCH)
    for path in sorted(work.iterdir()):
        with contextlib.suppress(OSError):
            syscalls.umount(path)
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()
    with contextlib.suppress(OSError):
        work.rmdir()


def probe_idmapping(mounted: Path, work: Path, namespaces: UserNamespaces) -> bool:
    """Tell whether this kernel can idmap the file system at `mounted` (squashfs: since 6.2, ext4: 5.12), and take it
    as a layer of an overlay (since 5.19)."""
    shown, over = work / "shown", work / "over"
    for directory in (shown, over):
        directory.mkdir(parents=True, exist_ok=True)
    userns = namespaces.duplicate(0, 1_000_000, WIDTH)
    try:
        syscalls.bind(mounted, shown, syscalls.MOUNT_ATTR_RDONLY, userns)
        syscalls.mount("overlay", over, "overlay", syscalls.MS_RDONLY, f"lowerdir={shown}:{work}")
        return True
    except OSError:
        return False
    finally:
        os.close(userns)
        for directory in (over, shown):
            with contextlib.suppress(OSError):
                syscalls.umount(directory)
            directory.rmdir()
        work.rmdir()


def show_bind(
    source: Path, target: Path, *, writable: bool, uid_start: int | None, namespaces: UserNamespaces
) -> None:
    """Put a host path where the container's root may reach it.

    Read-only ones look as if they belonged to the app, so that a file of root, mode 0600, can be read inside.
    """
    if source.is_dir():
        target.mkdir(mode=0o755)
    else:
        target.touch(mode=0o600)
    attributes = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV
    if writable:
        syscalls.bind(source, target, attributes)
        return
    attributes |= syscalls.MOUNT_ATTR_RDONLY
    userns = namespaces.duplicate(0, (uid_start or 0) + APP_UID, 1)
    try:
        syscalls.bind(source, target, attributes, userns)
    except OSError:  # a file system that cannot be idmapped: then its own permissions decide
        syscalls.bind(source, target, attributes)
    finally:
        os.close(userns)


def show_own(
    source: Path, target: Path, *, writable: bool, uid_start: int | None, namespaces: UserNamespaces
) -> None:
    """Put a path that belongs to the image where the container's root may reach it, with the owners it has there."""
    if source.is_dir():
        target.mkdir(mode=0o755)
    else:
        target.touch(mode=0o600)
    attributes = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV
    _bind_shifted(
        source, target, attributes | (0 if writable else syscalls.MOUNT_ATTR_RDONLY), uid_start, namespaces
    )


def _mount_writable(upper: Path, writable: Writable, base: int) -> None:
    if writable.scratch:
        file = Path(writable.scratch)
        loop.make_ext4(file, writable.size, base, journal=False)
        loop.mount_file(file, upper, "ext4", readonly=False, data="noauto_da_alloc,errors=remount-ro")
        file.unlink()  # the loop device keeps it; it is gone with the last umount, whatever happens
    else:
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
        syscalls.mount("paas-upper", upper, "tmpfs", flags, f"size={writable.size},mode=0755")
    for name in ("data", "work"):
        (upper / name).mkdir(mode=0o755)


def _furnish(root: Path, base: int, files: dict[str, str], *, foreign: bool, bare: bool) -> None:
    os.chown(root, base, base)
    app = base + APP_UID
    plan = [(name, base, 0o755) for name in (_MOUNT_POINTS if bare else _ROOT_OWNED)]
    plan += [] if bare else [(name, base, 0o1777) for name in _STICKY]
    plan += [] if bare or foreign else [(name, app, 0o755) for name in _APP_OWNED]
    for name, owner, mode in plan:
        path = root / name
        path.mkdir()
        path.chmod(mode)
        os.chown(path, owner, owner)
    for name, text in files.items():
        path = root / "etc" / name
        path.write_text(text)
        path.chmod(0o644)
        os.chown(path, base, base)


def _show_lower(shown: Path, source: Path, uid_start: int | None, namespaces: UserNamespaces) -> Path:
    shown.mkdir(mode=0o755)
    _bind_shifted(source, shown, syscalls.MOUNT_ATTR_RDONLY, uid_start, namespaces)
    return shown


def _show_host_usr(source: Path, target: Path, uid_start: int | None, namespaces: UserNamespaces) -> None:
    attributes = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV
    try:
        _bind_shifted(source, target, attributes, uid_start, namespaces)
    except OSError:  # e.g. the agent itself runs on an overlay: then files show as nobody's, still readable
        syscalls.bind(source, target, attributes)


def _bind_shifted(
    source: Path, target: Path, attributes: int, uid_start: int | None, namespaces: UserNamespaces
) -> None:
    if uid_start is None:
        syscalls.bind(source, target, attributes)
        return
    userns = namespaces.duplicate(0, uid_start, WIDTH)
    try:
        syscalls.bind(source, target, attributes, userns)
    finally:
        os.close(userns)
