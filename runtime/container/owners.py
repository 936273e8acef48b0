"""User-namespace ranges: one per app, kept for good.

In: owner ids.  Out: the first host uid of the owner's 65536, and descriptors of matching user namespaces.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from pathlib import Path

import msgspec

from runtime.container.port import EngineError
from runtime.container.storage import write_atomically

FIRST = 1_000_000
WIDTH = 65_536
LAST = 2**32 - 2
APP_UID = 1000  # the user that apps run as, inside


def allocate(taken: dict[str, int], owner: str) -> int:
    """Return the owner's range start: the one it has, or the lowest free one. Raises EngineError when all are taken."""
    if owner in taken:
        return taken[owner]
    used = set(taken.values())
    for start in range(FIRST, LAST - WIDTH, WIDTH):
        if start not in used:
            return start
    raise EngineError("All user ranges of this host are taken; remove apps that no longer exist.")


class Owners:
    """The persistent table owner → range start in `file`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._starts: dict[str, int] | None = None

    def range_start(self, owner: str) -> int:
        """Return the first host uid of `owner`'s range; it is on disk before it is returned."""
        with self._lock:
            starts = self._load()
            if owner not in starts:
                starts[owner] = allocate(starts, owner)
                write_atomically(self._file, msgspec.json.encode(starts))
            return starts[owner]

    def all(self) -> dict[str, int]:
        """Return every owner with the start of its range."""
        with self._lock:
            return dict(self._load())

    def forget(self, owner: str) -> None:
        """Free a range, for the next new owner. Only when nothing on this host belongs to it any more."""
        with self._lock:
            starts = self._load()
            if starts.pop(owner, None) is not None:
                write_atomically(self._file, msgspec.json.encode(starts))

    def _load(self) -> dict[str, int]:
        if self._starts is None:
            self._starts = {}
            if self._file.exists():
                self._starts = msgspec.json.decode(self._file.read_bytes(), type=dict[str, int])
        return self._starts


class UserNamespaces:
    """Descriptors of user namespaces for idmapped mounts, made on first use and kept."""

    def __init__(self, keep: int = 256) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self._fds: dict[tuple[int, int, int], int] = {}

    def duplicate(self, inside: int, outside: int, count: int) -> int:
        """Return a new descriptor of a user namespace that maps `inside`.. on disk to `outside`..; close it."""
        key = (inside, outside, count)
        with self._lock:
            if key not in self._fds:
                while len(self._fds) >= self._keep:
                    os.close(self._fds.pop(next(iter(self._fds))))
                self._fds[key] = _make_user_namespace(f"{inside} {outside} {count}\n")
            return os.dup(self._fds[key])

    def close(self) -> None:
        with self._lock:
            for fd in self._fds.values():
                os.close(fd)
            self._fds.clear()


def _make_user_namespace(mapping: str) -> int:
    # cat answers only after unshare(1) has made the namespace: no polling.
    command = ["unshare", "--user", "cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(b".")
            if process.stdout.read(1) != b".":
                raise EngineError(
                    "User namespaces are disabled here: set sysctl user.max_user_namespaces above 0."
                )
            for kind in ("uid_map", "gid_map"):
                Path(f"/proc/{process.pid}/{kind}").write_text(mapping)
            return os.open(f"/proc/{process.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            with contextlib.suppress(OSError):
                process.stdin.close()
