"""A user namespace of the builder's own, below the container's, in which it may mount.

In: this process, with one thread, as root of a container without CAP_SYS_ADMIN.  Out: the same process with it, over
mounts that nobody else sees; they go with it.

What is mounted inside has none of the flags (nosuid, nodev) that the container's own mounts are locked to: buildah
cannot mount a secret read-only from below those.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from ..errors import BuildError

_NEWNS, _NEWUSER = 0x00020000, 0x10000000
_REC, _PRIVATE, _RDONLY = 0x4000, 1 << 18, 1
# By these buildah knows that it is in a namespace made for it, by root of the one above.
MARKS = {
    "_CONTAINERS_USERNS_CONFIGURED": "done",
    "_CONTAINERS_ROOTLESS_UID": "0",
    "_CONTAINERS_ROOTLESS_GID": "0",
}
_libc = ctypes.CDLL(None, use_errno=True)


def enter() -> None:
    """Move this process into its own user and mount namespaces. Raises BuildError where a host does not let it."""
    helper = _mapping_helper()
    try:
        _call("unshare", _libc.unshare(_NEWUSER | _NEWNS))
    except OSError as error:
        helper.stop()
        hint = "Ask who runs the platform: user namespaces must be allowed (user.max_user_namespaces)."
        message = f"This host does not let a build make a namespace ({error.strerror})."
        raise BuildError("image_build_impossible", message, hint=hint) from error
    if not helper.map():
        raise BuildError("image_build_impossible", "The namespace of the build could not be mapped.")
    _call("mount", _libc.mount(None, b"/", None, _REC | _PRIVATE, None))


class _Helper:
    """A process that stays in the namespace above, where the map of the one below is written."""

    def __init__(self, pid: int, gate: int) -> None:
        self._pid, self._gate = pid, gate

    def map(self) -> bool:
        os.write(self._gate, b".")
        return self.stop() == 0

    def stop(self) -> int:
        os.close(self._gate)
        return os.waitpid(self._pid, 0)[1]


def _mapping_helper() -> _Helper:
    closed, gate = os.pipe()
    target, ids = os.getpid(), Path("/proc/self/uid_map").read_text().split()
    pid = os.fork()
    if pid:
        os.close(closed)
        return _Helper(pid, gate)
    os.close(gate)
    code = 1
    try:
        if os.read(closed, 1):
            for kind in ("uid_map", "gid_map"):
                Path(f"/proc/{target}/{kind}").write_text(f"0 0 {ids[2]}\n")
            code = 0
    finally:
        os._exit(code)


def mount_memory(target: Path) -> None:
    """Put an empty file system in memory at `target`."""
    target.mkdir(parents=True, exist_ok=True)
    _call("mount", _libc.mount(b"tmpfs", os.fsencode(target), b"tmpfs", 0, b"mode=0700,size=64m"))


def mount_copy(source: Path, empty: Path, target: Path) -> bool:
    """Show `source` at `target`, read-only; False where this kernel cannot."""
    for folder in (empty, target):
        folder.mkdir(parents=True, exist_ok=True)
    options = os.fsencode(f"lowerdir={source}:{empty},userxattr")
    return not _libc.mount(b"overlay", os.fsencode(target), b"overlay", _RDONLY, options)


def can_overlay(folder: Path) -> bool:
    """Tell whether layers can lie over each other in `folder`: since Linux 5.11. Nothing stays."""
    places = [folder / name for name in ("lower", "upper", "work", "over")]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
    lower, upper, work, over = places
    options = os.fsencode(f"lowerdir={lower},upperdir={upper},workdir={work},userxattr")
    if _libc.mount(b"overlay", os.fsencode(over), b"overlay", 0, options):
        return False
    _libc.umount2(os.fsencode(over), 2)
    return True


def _call(name: str, result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
