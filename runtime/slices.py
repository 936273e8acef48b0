"""How long a process keeps a processor while another waits: the slice of Linux's fair scheduler (EEVDF, since 6.12).

In: a pid.  Out: its slice, and that of whatever it starts, is the shortest there is (sched_setattr(2)).

Who never sleeps is left alone for a slice; who wakes meanwhile waits for 3 ms, or 4 where a tick ends it. The shortest
slice ends that wait, but not that of one who is ahead of its share, whom weight helps (`runtime/agent/yielding.py`). It
says how soon, not how much: shares stay, and without a rival nothing changes. None is shorter, so there is nothing to
refuse to an app; a longer one is its own loss.
"""

from __future__ import annotations

import ctypes
import os
import platform

SHORTEST = 100_000  # nanoseconds; the kernel raises what is less
# Numbers of sched_setattr and sched_getattr, which the C library has since glibc 2.41.
_CALLS = {"x86_64": (314, 315), "aarch64": (274, 275), "riscv64": (274, 275)}
_FAIR = (os.SCHED_OTHER, os.SCHED_BATCH)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _Attributes(ctypes.Structure):
    """struct sched_attr as it was first, of 48 bytes. `runtime` is the slice of a process that is scheduled fairly."""

    _fields_ = [
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    ]


def shorten(pid: int) -> bool:
    """Give a process, 0 for the calling thread, the shortest slice; tell whether the kernel took it. Older kernels
    ignore it: it is worth having, and nothing to fail for."""
    attributes = _read(pid)
    if attributes is None or attributes.policy not in _FAIR:
        return False
    attributes.runtime = SHORTEST
    number, _ = _CALLS[platform.machine()]
    return bool(_libc.syscall(number, pid, ctypes.byref(attributes), 0) == 0)


def slice_of(pid: int) -> int:
    """Return the slice of a process in nanoseconds; 0 when there is no such process or the kernel has no slices."""
    attributes = _read(pid)
    return int(attributes.runtime) if attributes is not None else 0


def _read(pid: int) -> _Attributes | None:
    if platform.machine() not in _CALLS:
        return None
    _, number = _CALLS[platform.machine()]
    attributes = _Attributes()
    size = ctypes.sizeof(attributes)
    done = _libc.syscall(number, pid, ctypes.byref(attributes), size, 0)
    return attributes if done == 0 else None
