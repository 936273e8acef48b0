"""Linux calls that Python 3.11 does not offer, by ctypes.

In: paths and descriptors.  Out: None or a descriptor; OSError with the path when the kernel refuses.
Numbers above 424 are the same on every architecture, which is why they may be written here (syscalls(2)).
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWNET = 0x40000000
CLONE_FS = 0x00000200

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MNT_DETACH = 2

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_IDMAP = 0x00100000

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_IN_ROOT = 0x10

_OPEN_TREE, _MOVE_MOUNT, _OPENAT2, _MOUNT_SETATTR = 428, 429, 437, 442
_OPEN_TREE_CLONE = 1
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_PR_SET_CHILD_SUBREAPER = 36
_FALLOC_FL_KEEP_SIZE, _FALLOC_FL_PUNCH_HOLE = 1, 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _MountAttr(ctypes.Structure):
    _fields_ = [
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def mount(source: str, target: Path | str, fstype: str, flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(
        source.encode(), os.fsencode(target), fstype.encode(), ctypes.c_ulong(flags), data.encode()
    )
    _check(result, f"mount {fstype or source} on {target}")


def umount(target: Path | str, flags: int = MNT_DETACH) -> None:
    """umount2(2); lazily by default, so that a busy mount cannot stop a removal."""
    _check(_libc.umount2(os.fsencode(target), flags), f"umount {target}")


def unshare(flags: int) -> None:
    """unshare(2), for the calling thread."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    """setns(2), for the calling thread."""
    _check(_libc.setns(fd, kind), "setns")


def set_child_subreaper() -> None:
    """Make orphaned descendants children of this process, so that it can reap them (prctl(2))."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def clone_tree(source: Path | str, *, recursive: bool = False) -> int:
    """open_tree(2): a detached copy of the mount at `source`, as a descriptor."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    result = _libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(source), flags)
    return _check(result, f"open_tree {source}")


def set_attributes(tree: int, attributes: int, userns: int | None = None, *, recursive: bool = False) -> None:
    """mount_setattr(2) on a detached tree: attributes, and an idmapping when `userns` is given."""
    if userns is not None:
        attributes |= MOUNT_ATTR_IDMAP
    attr = _MountAttr(attributes, 0, 0, userns or 0)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    size = ctypes.c_size_t(ctypes.sizeof(attr))
    _check(_libc.syscall(_MOUNT_SETATTR, tree, b"", flags, ctypes.byref(attr), size), "mount_setattr")


def attach_tree(tree: int, target: Path | str) -> None:
    """move_mount(2): put a detached tree at `target`."""
    result = _libc.syscall(
        _MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH)
    )
    _check(result, f"move_mount to {target}")


def bind(source: Path | str, target: Path | str, attributes: int, userns: int | None = None) -> None:
    """Show `source` at `target` with mount attributes and, when given, the idmapping of a user namespace."""
    tree = clone_tree(source)
    try:
        set_attributes(tree, attributes, userns)
        attach_tree(tree, target)
    finally:
        os.close(tree)


def punch_hole(fd: int, offset: int, length: int) -> None:
    """fallocate(2): give a range of a file back to the disk; it reads as zeros."""
    mode = ctypes.c_int(_FALLOC_FL_KEEP_SIZE | _FALLOC_FL_PUNCH_HOLE)
    _check(_libc.fallocate(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)), "fallocate")


def open_beneath(root: int, path: str, flags: int, resolve: int) -> int:
    """openat2(2): open `path` as seen from the directory `root`, never outside of it."""
    how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve | RESOLVE_NO_MAGICLINKS)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    return _check(_libc.syscall(_OPENAT2, root, os.fsencode(path), ctypes.byref(how), size), f"open {path}")
