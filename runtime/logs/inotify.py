"""File change events of Linux as asyncio callbacks.

In: paths to watch.  Out: one call per path and burst of changes; nothing at all while nothing is written.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from pathlib import Path

IN_MODIFY = 0x2
IN_IGNORED = 0x8000
QUIET_SECONDS = 0.02  # after a burst, so that a log flood costs 50 wake-ups a second and not thousands
HEADER = struct.Struct("iIII")  # inotify(7): wd, mask, cookie, len


class Inotify:
    """One inotify descriptor on the running loop."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"inotify: {os.strerror(code)}; raise fs.inotify.max_user_instances")
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._read)

    def watch(self, path: Path, callback: Callable[[], None]) -> int:
        """Call `callback` after writes to the file that `path` names now (also once it is renamed)."""
        watch = int(self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), IN_MODIFY))
        if watch < 0:
            code = ctypes.get_errno()
            raise OSError(
                code, f"{os.strerror(code)}: cannot watch {path}; raise fs.inotify.max_user_watches"
            )
        self._callbacks[watch] = callback
        return watch

    def forget(self, watch: int) -> None:
        if self._callbacks.pop(watch, None):
            self._libc.inotify_rm_watch(self._descriptor, watch)

    def close(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1

    def _read(self) -> None:
        for watch in self._changed():
            callback = self._callbacks.get(watch)
            if callback:
                callback()
        self._loop.remove_reader(self._descriptor)
        self._loop.call_later(QUIET_SECONDS, self._listen)

    def _listen(self) -> None:
        if self._descriptor >= 0:
            self._loop.add_reader(self._descriptor, self._read)

    def _changed(self) -> set[int]:
        try:
            data = os.read(self._descriptor, 64 * 1024)
        except BlockingIOError:
            return set()
        changed, offset = set(), 0
        while offset < len(data):
            watch, mask, _, length = HEADER.unpack_from(data, offset)
            offset += HEADER.size + length
            if mask & IN_IGNORED:
                self._callbacks.pop(watch, None)
            else:
                changed.add(watch)
        return changed
