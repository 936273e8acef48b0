"""How containers stand to their limits, looked at now and then, and only where something happens.

In: the records of running containers.  Out: a `Strain` for each that used the processor since the last look: whoever
sleeps forks nothing, opens nothing, fills nothing. Runs in the mount namespace, where their file systems are.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from runtime.container import counters
from runtime.container.parts import Parts
from runtime.container.port import EngineError, Strain
from runtime.container.storage import Record
from runtime.network import rules

_BUSY = 2000  # microseconds of processor time between two looks: a hundred forks, a few thousand open files
_MOST_PROCESSES = 64  # of one container whose open files are counted at one look


class Strains:
    """Remembers what each container had used at the last look."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}
        self._at = time.monotonic()

    def look(self, parts: Parts, records: Collection[Record]) -> tuple[Strain, ...]:
        """Return the strains of those that were busy."""
        groups = {one.id: parts.layout.cgroup_of(one.id) for one in records}
        used = {id_: parts.cgroups.cpu_microseconds(group) for id_, group in groups.items()}
        busy = [one for one in records if used[one.id] - self._used.get(one.id, 0) > _BUSY]
        now = time.monotonic()
        before, seconds = self._used, now - self._at
        self._used, self._at = used, now
        forged = _forged(parts) if busy else {}
        cores = {id_: _cores(before.get(id_), count, seconds) for id_, count in used.items()}
        return tuple(_strain(parts, one, forged, cores[one.id]) for one in busy)


def look_at(parts: Parts, record: Record) -> Strain:
    """Return the strain of one container, which may have ended."""
    return _strain(parts, record, {})


def parse_open_files_limit(limits: str) -> int:
    """Return the soft limit of /proc/PID/limits, 0 for none. Pure."""
    for line in limits.splitlines():
        if line.startswith("Max open files"):
            word = line.split()[3]
            return int(word) if word.isdigit() else 0
    return 0


def parse_table_size(status: str) -> int:
    """Return how many descriptors a process has room for without growing its table (FDSize of /proc/PID/status)."""
    for line in status.splitlines():
        if line.startswith("FDSize:"):
            return int(line.split()[1])
    return 0


def _cores(before: int | None, now: int, seconds: float) -> float:
    return (now - before) / 1e6 / seconds if before is not None and seconds > 0 else 0.0


def _strain(parts: Parts, record: Record, forged: dict[str, int], cores: float = 0.0) -> Strain:
    group = parts.layout.cgroup_of(record.id)
    root = parts.layout.work(record.id) / "rootfs"
    refused, pids = parts.cgroups.refused_forks(group)
    open_files, nofile = _open_files(parts.cgroups.processes(group)[:_MOST_PROCESSES])
    layer_used, layer_size = counters.filesystem_bytes(str(root))
    tmp_used, tmp_size = (
        counters.filesystem_bytes(str(root / "tmp")) if os.path.ismount(root / "tmp") else (0, 0)
    )
    interface = parts.pool.slot(record.slot, record.address).interface if record.slot >= 0 else ""
    return Strain(
        id=record.id,
        forks_refused=refused,
        pids=pids,
        memory_kills=parts.cgroups.oom_kills(group),
        memory_bytes=record.memory_limit_bytes,
        open_files=open_files,
        nofile=nofile,
        layer_used=layer_used,
        layer_size=layer_size,
        tmp_used=tmp_used,
        tmp_size=tmp_size,
        forged=forged.get(interface, 0),
        cores=cores,
    )


def _forged(parts: Parts) -> dict[str, int]:
    try:
        return rules.parse_forgers(parts.firewall.run(rules.render_forgers(parts.names)))
    except EngineError:  # the firewall of a platform that is being removed
        return {}


def _open_files(pids: Iterable[int]) -> tuple[int, int]:
    """Return the number and the limit of the process that is nearest to its limit; (0, 0) when none is near."""
    nearest, share = (0, 0), 0.9
    for pid in pids:
        with contextlib.suppress(OSError, ValueError):
            # The table doubles as it fills: while it is smaller than half of the limit nobody need count.
            place = Path(f"/proc/{pid}")
            room = parse_table_size((place / "status").read_text())
            limit = parse_open_files_limit((place / "limits").read_text()) if room >= 256 else 0
            if limit and room >= limit // 2:
                count = sum(1 for _ in (place / "fd").iterdir())
                if count / limit > share:
                    nearest, share = (count, limit), count / limit
    return nearest
