"""The kernel's grace period before a process moves between control groups, begun while other work is done.

In: this host's control groups.  Out: nothing; the next move, which the OCI runtime makes, need not wait (5 to 15 ms).
The first move in a while waits until every processor has seen that forks and exits now go the slow way; those right
after it do not (rcu_sync_enter in the kernel's percpu_down_write). So the agent moves itself to where it is already.
"""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runtime.container.cgroup import ROOT

_MEMBERSHIP = Path("/proc/self/cgroup")
_HIERARCHY = "pids"  # of v1's any would do: all share the lock


class Grace:
    """One of an engine. `members` is the file that lists the processes of this process's own group."""

    def __init__(self, members: Path | None) -> None:
        self._members = members
        self._worker = ThreadPoolExecutor(1, "grace")

    def begin(self) -> None:
        """Start the wait and return at once."""
        if self._members is not None:
            self._worker.submit(_move_nowhere, self._members)

    def close(self) -> None:
        self._worker.shutdown()


def own_members(root: Path = ROOT) -> Path | None:
    """Return the file to which this process can write its own number in vain, None where its group is out of sight."""
    place = place_of(_MEMBERSHIP.read_text())
    file = None if place is None else root / place / "cgroup.procs"
    return file if file is not None and file.exists() else None


def place_of(membership: str) -> str | None:
    """Return the own group below the root of all groups, from /proc/self/cgroup. Pure."""
    lines = (line.split(":", 2) for line in membership.splitlines())
    groups = {names: path for _, names, path in lines}
    found = next(
        ((f"{_HIERARCHY}/", path) for names, path in groups.items() if _HIERARCHY in names.split(",")), None
    )
    folder, path = found or ("", groups.get("", "/.."))
    return None if ".." in path.split("/") else folder + path.lstrip("/")


def _move_nowhere(members: Path) -> None:
    with contextlib.suppress(OSError):  # then the runtime waits for itself
        members.write_text(str(os.getpid()))
