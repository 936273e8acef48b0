"""Copies of large, mostly empty files.

In: two files.  Out: the second is equal to the first; shared with it where the file system can (reflink), else holes
stay holes and only what differs is written, so that a copy begun early is made whole quickly.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator

from runtime.container import syscalls

CHUNK = 1024**2
_FICLONE = 0x40049409


def share(source: int, target: int) -> bool:
    """Make `target` a copy that shares its blocks (ioctl_ficlone(2)). False where that is not possible."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS):
            return False
        raise
    return True


def refresh(source: int, target: int, size: int, check: Callable[[], None]) -> None:
    """Make the first `size` bytes of `target` equal to those of `source`. `check` is called often and may raise."""
    os.ftruncate(target, size)
    position = 0
    for begin, stop in extents(source, 0, size):
        _clear(target, position, begin)
        for offset in range(begin, stop, CHUNK):
            check()
            _take(source, target, offset, min(CHUNK, stop - offset))
        position = stop
    _clear(target, position, size)


def extents(file: int, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of a file that hold data (lseek(2))."""
    while begin < end:
        try:
            begin = os.lseek(file, begin, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        if begin >= end:
            return
        stop = min(end, os.lseek(file, begin, os.SEEK_HOLE))
        yield begin, stop
        begin = stop


def _take(source: int, target: int, offset: int, length: int) -> None:
    data = os.pread(source, length, offset)
    if data != os.pread(target, length, offset):
        view = memoryview(data)
        while view:
            written = os.pwrite(target, view, offset)
            view, offset = view[written:], offset + written


def _clear(target: int, begin: int, end: int) -> None:
    for start, stop in tuple(extents(target, begin, end)):
        syscalls.punch_hole(target, start, stop - start)
