"""The control group of a container: counters, out-of-memory kills, removal; cgroup v1 and v2 alike.

In: the absolute cgroup path that config.json names.  Out: numbers read from the kernel's files.
The cgroupfs manager of crun keeps the group until `crun delete`, so counters are read between exit and delete.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Protocol

from runtime.container import counters, limiting
from runtime.container.port import EngineError, Usage
from runtime.model import Limits

ROOT = Path("/sys/fs/cgroup")
_PERIOD = 100_000  # microseconds, the kernel's own choice
_NEEDED = ("memory", "pids", "cpu")


def parse_pairs(text: str) -> dict[str, int]:
    """Parse the `key number` lines of memory.stat, memory.events, cpu.stat and memory.oom_control."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


class Cgroups(Protocol):
    """What both versions answer. `path` is absolute within the hierarchy, like `/paas-x/web.1`."""

    def missing(self) -> tuple[str, ...]:
        """Return the controllers the kernel does not offer."""

    def usage(self, path: str, limit: int) -> Usage | None:
        """Return the counters, None when the group is gone. Memory leaves out the reclaimable file cache."""

    def oom_kills(self, path: str) -> int:
        """Return how many processes the memory limit has killed."""

    def cpu_microseconds(self, path: str) -> int:
        """Return the processor time used so far, 0 when the group is gone."""

    def refused_forks(self, path: str) -> tuple[int, int]:
        """Return how many processes were refused at the limit, and the limit (0: none)."""

    def weigh(self, path: str, shares: int, cores: float = 0.0) -> None:
        """Make the group and give it its weight against its siblings, 1024 being that of a usual container. `cores`:
        it gets no more processor time than these (0: no limit)."""

    def reweigh(self, path: str, shares: int) -> None:
        """Give a group another weight. A no-op when it is gone."""

    def confine(self, path: str, cores: float | None) -> None:
        """Give a group no more processor time than these (None: no limit). A no-op when it is gone."""

    def enter(self, path: str, pid: int) -> None:
        """Let the group have the processor time of a process. A no-op when the process is gone."""

    def remove(self, path: str) -> None:
        """Remove the group and the groups below it, where they hold no process any more."""

    def processes(self, path: str) -> tuple[int, ...]:
        """Return the pids in the group and below."""

    def children(self, path: str) -> tuple[str, ...]:
        """Return the names of the groups directly below `path`."""

    def exists(self, path: str) -> bool:
        """Tell whether the group is there, in any hierarchy."""

    def limits_swap(self) -> bool:
        """Tell whether swap can be limited; Debian's v1 kernels need swapaccount=1 for it."""

    def groups(self, path: str) -> tuple[Path, ...]:
        """Return the directories that make the group, one per hierarchy in which it is."""

    def limit(self, path: str, limits: Limits) -> None:
        """Change memory, CPU and pids of a running group; see `limiting`."""


class CgroupV2:
    """One hierarchy."""

    version = 2

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root

    def missing(self) -> tuple[str, ...]:
        offered = (self._root / "cgroup.controllers").read_text().split()
        return tuple(name for name in _NEEDED if name not in offered)

    def usage(self, path: str, limit: int) -> Usage | None:
        group = _below(self._root, path)
        try:
            used = int((group / "memory.current").read_text())
            cache = parse_pairs((group / "memory.stat").read_text()).get("inactive_file", 0)
            cpu = parse_pairs((group / "cpu.stat").read_text())
            pids = int((group / "pids.current").read_text())
            seconds = cpu["usage_usec"] / 1e6
        except (OSError, ValueError, KeyError):
            return None
        read, written = counters.parse_io_v2(counters.read(group / "io.stat"))
        return Usage(
            memory_bytes=max(0, used - cache),
            memory_limit_bytes=limit,
            cpu_seconds=seconds,
            pids=pids,
            memory_peak_bytes=_number(group / "memory.peak"),
            cpu_throttled_seconds=cpu.get("throttled_usec", 0) / 1e6,
            cpu_periods=cpu.get("nr_periods", 0),
            cpu_throttled_periods=cpu.get("nr_throttled", 0),
            read_bytes=read,
            written_bytes=written,
            cpu_pressure_seconds=counters.pressure_seconds(group, "cpu"),
            memory_pressure_seconds=counters.pressure_seconds(group, "memory"),
            io_pressure_seconds=counters.pressure_seconds(group, "io"),
        )

    def oom_kills(self, path: str) -> int:
        return _read_pairs(_below(self._root, path) / "memory.events").get("oom_kill", 0)

    def cpu_microseconds(self, path: str) -> int:
        return _read_pairs(_below(self._root, path) / "cpu.stat").get("usage_usec", 0)

    def refused_forks(self, path: str) -> tuple[int, int]:
        return _refused_forks(_below(self._root, path))

    def weigh(self, path: str, shares: int, cores: float = 0.0) -> None:
        group = _below(self._root, path)
        for parent in reversed([one for one in group.parents if one.is_relative_to(self._root)]):
            _write(parent / "cgroup.subtree_control", " ".join(f"+{name}" for name in _NEEDED))
        group.mkdir(parents=True, exist_ok=True)
        _write(group / "cpu.weight", str(weight_of(shares)))
        _write(group / "cpu.max", f"{int(cores * _PERIOD) or 'max'} {_PERIOD}")

    def reweigh(self, path: str, shares: int) -> None:
        _write(_below(self._root, path) / "cpu.weight", str(weight_of(shares)))

    def confine(self, path: str, cores: float | None) -> None:
        _write(_below(self._root, path) / "cpu.max", f"{limiting.quota(cores) or 'max'} {limiting.PERIOD}")

    def enter(self, path: str, pid: int) -> None:
        _write(_below(self._root, path) / "cgroup.procs", str(pid))

    def remove(self, path: str) -> None:
        _remove_tree(_below(self._root, path))

    def processes(self, path: str) -> tuple[int, ...]:
        return _processes(_below(self._root, path))

    def children(self, path: str) -> tuple[str, ...]:
        return _children(_below(self._root, path))

    def exists(self, path: str) -> bool:
        return _below(self._root, path).is_dir()

    def limits_swap(self) -> bool:
        return True

    def groups(self, path: str) -> tuple[Path, ...]:
        return (_below(self._root, path),)

    def limit(self, path: str, limits: Limits) -> None:
        limiting.limit_v2(_below(self._root, path), limits)


class CgroupV1:
    """One hierarchy per controller; crun makes the group in each that is mounted."""

    version = 1

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root

    def missing(self) -> tuple[str, ...]:
        return tuple(name for name in (*_NEEDED, "cpuacct") if not (self._root / name).is_dir())

    def usage(self, path: str, limit: int) -> Usage | None:
        memory = _below(self._root / "memory", path)
        try:
            used = int((memory / "memory.usage_in_bytes").read_text())
            cache = parse_pairs((memory / "memory.stat").read_text()).get("total_inactive_file", 0)
            cpu = int((_below(self._root / "cpuacct", path) / "cpuacct.usage").read_text()) / 1e9
            pids = int((_below(self._root / "pids", path) / "pids.current").read_text())
        except (OSError, ValueError):
            return None
        quota = _read_pairs(_below(self._root / "cpu", path) / "cpu.stat")
        blkio = _below(self._root / "blkio", path) / "blkio.throttle.io_service_bytes"
        read, written = counters.parse_io_v1(counters.read(blkio))
        return Usage(
            memory_bytes=max(0, used - cache),
            memory_limit_bytes=limit,
            cpu_seconds=cpu,
            pids=pids,
            memory_peak_bytes=_number(memory / "memory.max_usage_in_bytes"),
            cpu_throttled_seconds=quota.get("throttled_time", 0) / 1e9,
            cpu_periods=quota.get("nr_periods", 0),
            cpu_throttled_periods=quota.get("nr_throttled", 0),
            read_bytes=read,
            written_bytes=written,
        )

    def oom_kills(self, path: str) -> int:
        return _read_pairs(_below(self._root / "memory", path) / "memory.oom_control").get("oom_kill", 0)

    def cpu_microseconds(self, path: str) -> int:
        return _number(_below(self._root / "cpuacct", path) / "cpuacct.usage") // 1000

    def refused_forks(self, path: str) -> tuple[int, int]:
        return _refused_forks(_below(self._root / "pids", path))

    def weigh(self, path: str, shares: int, cores: float = 0.0) -> None:
        group = _below(self._root / "cpu", path)
        group.mkdir(parents=True, exist_ok=True)
        _write(group / "cpu.shares", str(shares))
        _write(group / "cpu.cfs_quota_us", str(int(cores * _PERIOD) or -1))

    def reweigh(self, path: str, shares: int) -> None:
        _write(_below(self._root / "cpu", path) / "cpu.shares", str(shares))

    def confine(self, path: str, cores: float | None) -> None:
        _write(_below(self._root / "cpu", path) / "cpu.cfs_quota_us", str(limiting.quota(cores) or -1))

    def enter(self, path: str, pid: int) -> None:
        _write(_below(self._root / "cpu", path) / "cgroup.procs", str(pid))

    def remove(self, path: str) -> None:
        for hierarchy in self._hierarchies():
            _remove_tree(_below(hierarchy, path))

    def processes(self, path: str) -> tuple[int, ...]:
        return _processes(_below(self._root / "pids", path))

    def children(self, path: str) -> tuple[str, ...]:
        names = {name for hierarchy in self._hierarchies() for name in _children(_below(hierarchy, path))}
        return tuple(sorted(names))

    def exists(self, path: str) -> bool:
        return any(_below(hierarchy, path).is_dir() for hierarchy in self._hierarchies())

    def limits_swap(self) -> bool:
        return (self._root / "memory" / "memory.memsw.limit_in_bytes").exists()

    def groups(self, path: str) -> tuple[Path, ...]:
        every = (_below(hierarchy, path) for hierarchy in self._hierarchies())
        return tuple(group for group in every if group.is_dir())

    def limit(self, path: str, limits: Limits) -> None:
        memory, cpu, pids = (_below(self._root / name, path) for name in ("memory", "cpu", "pids"))
        limiting.limit_v1(memory, cpu, pids, limits)

    def _hierarchies(self) -> tuple[Path, ...]:
        with os.scandir(self._root) as entries:
            return tuple(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))


def detect(root: Path = ROOT) -> CgroupV1 | CgroupV2:
    """Return the back end of this host. Raises EngineError when cgroups are not mounted or lack a controller."""
    if (root / "cgroup.controllers").exists():
        found: CgroupV1 | CgroupV2 = CgroupV2(root)
    elif (root / "memory").is_dir():
        found = CgroupV1(root)
    else:
        raise EngineError(f"No control groups at {root}: mount them, e.g. with apt install cgroupfs-mount.")
    if missing := found.missing():
        names = ", ".join(missing)
        raise EngineError(f"The kernel does not offer the cgroup controllers {names}; enable them at boot.")
    return found


def _below(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _read_pairs(file: Path) -> dict[str, int]:
    try:
        return parse_pairs(file.read_text())
    except OSError:
        return {}


def _number(file: Path) -> int:
    """Read one number that the kernel may not offer, 0 then."""
    text = counters.read(file).strip()
    return int(text) if text.isdigit() else 0


def weight_of(shares: int) -> int:
    """Return the v2 weight that crun gives a container of so many v1 shares: 39 for 1024, whatever the manual says
    of 100. Pure."""
    return 1 + ((shares - 2) * 9999) // 262142


def _write(file: Path, text: str) -> None:
    """A weight is worth having, and nothing to fail for: a kernel may lack the file, a process be gone."""
    with contextlib.suppress(OSError):
        file.write_text(text)


def _refused_forks(group: Path) -> tuple[int, int]:
    return _read_pairs(group / "pids.events").get("max", 0), _number(group / "pids.max")


def _remove_tree(group: Path) -> None:
    try:
        group.rmdir()  # as a rule nothing is below
        return
    except OSError:
        pass
    for directory, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(directory).rmdir()


def _processes(group: Path) -> tuple[int, ...]:
    pids: list[int] = []
    for directory, _, _ in os.walk(group):
        with contextlib.suppress(OSError):
            pids += [int(line) for line in (Path(directory) / "cgroup.procs").read_text().split()]
    return tuple(pids)


def _children(group: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(entry.name for entry in group.iterdir() if entry.is_dir()))
    except OSError:
        return ()
