"""Other limits for a control group in which processes run, without a restart.

In: the directories of a group and `Limits`.  Out: the kernel's files written; memory that does not fit is a refusal.

Less memory than is in use: the kernel reclaims what it can first. When the rest does not fit, nothing changes and the
caller is told; no process is killed for it. (cgroup v1 behaves so by itself, and `docker update` with it; v2 would
call the out-of-memory killer.) Sources: cgroup-v1/memory.rst, cgroup-v2.rst in the kernel's Documentation.
"""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

from runtime.container.port import EngineError
from runtime.model import Limits

PERIOD = 100_000  # microseconds
MEBIBYTE = 1024**2


def quota(cores: float | None) -> int | None:
    """Microseconds of CPU per period, None without a limit. Pure."""
    return None if cores is None else max(1000, int(cores * PERIOD))


def weight(shares: int) -> int:
    """cpu.weight of v2 for cpu.shares of v1, by the formula of the OCI runtimes. Pure."""
    return 1 + (min(max(shares, 2), 262_144) - 2) * 9999 // 262_142


def limit_v1(memory: Path, cpu: Path, pids: Path, limits: Limits) -> None:
    """Raise EngineError when the memory in use does not fit, OSError for anything else."""
    _memory_v1(memory, limits.memory_bytes)
    _write(cpu / "cpu.shares", max(2, limits.cpu_shares))
    _write(cpu / "cpu.cfs_period_us", PERIOD)
    _write(cpu / "cpu.cfs_quota_us", quota(limits.cpu_cores) or -1)
    _write(pids / "pids.max", limits.pids)


def limit_v2(group: Path, limits: Limits) -> None:
    """Raise EngineError when the memory in use does not fit, OSError for anything else."""
    _memory_v2(group, limits.memory_bytes)
    _write(group / "cpu.weight", weight(limits.cpu_shares))
    _write(group / "cpu.max", f"{quota(limits.cpu_cores) or 'max'} {PERIOD}")
    _write(group / "pids.max", limits.pids)


def _memory_v1(group: Path, wanted: int) -> None:
    """Memory alone must never be allowed more than memory and swap together: the order depends on the direction."""
    alone, both = group / "memory.limit_in_bytes", group / "memory.memsw.limit_in_bytes"
    before = int(alone.read_text())
    try:
        if wanted > before:
            _write_both(both, wanted)
            _write(alone, wanted)
        else:
            _write(alone, wanted)
            _write_both(both, wanted)
    except OSError as error:
        with contextlib.suppress(OSError):
            _write_both(both, max(before, wanted))
            _write(alone, before)
            _write_both(both, before)
        if error.errno != errno.EBUSY:
            raise
        raise _does_not_fit(wanted, int((group / "memory.usage_in_bytes").read_text())) from error


def _write_both(file: Path, value: int) -> None:
    if file.exists():  # Debian's v1 kernels have it with swapaccount=1 only
        _write(file, value)


def _memory_v2(group: Path, wanted: int) -> None:
    """A soft limit makes the kernel reclaim at once and kills nobody; the hard one follows when the rest fits."""
    before = (group / "memory.max").read_text().strip()
    if before == "max" or wanted < int(before):
        _write(group / "memory.high", wanted)
        try:
            used = int((group / "memory.current").read_text())
            if used > wanted:
                raise _does_not_fit(wanted, used)
            _write(group / "memory.max", wanted)
        finally:
            _write(group / "memory.high", "max")
    else:
        _write(group / "memory.max", wanted)


def _does_not_fit(wanted: int, used: int) -> EngineError:
    return EngineError(
        f"It uses {-(-used // MEBIBYTE)} MiB of memory, which do not fit in {wanted // MEBIBYTE} MiB: "
        "restart it, or choose a higher limit."
    )


def _write(file: Path, value: int | str) -> None:
    file.write_text(str(value))
