"""Which of the kernel's files get which values when limits change, by version; what happens is tested in system."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.container.cgroup import CgroupV1, CgroupV2
from runtime.container.port import EngineError
from runtime.model import Limits

pytestmark = pytest.mark.unit
MIB = 2**20
LIMITS = Limits(memory_bytes=64 * MIB, pids=50, cpu_cores=1.5, cpu_shares=512)
CPU_OF_V2 = {"cpu.weight": "20", "cpu.max": "150000 100000", "pids.max": "50"}


def group_of_v2(root: Path, maximum: str, used: int = 10 * MIB) -> Path:
    group = root / "p" / "a"
    group.mkdir(parents=True)
    (group / "memory.max").write_text(f"{maximum}\n")
    (group / "memory.current").write_text(f"{used}\n")
    return group


def written(group: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in group.iterdir() if file.name != "memory.current"}


@pytest.mark.parametrize("before", ["max", str(512 * MIB)])
def test_v2_is_squeezed_before_it_is_limited(tmp_path: Path, before: str) -> None:
    group = group_of_v2(tmp_path, before)
    CgroupV2(tmp_path).limit("/p/a", LIMITS)
    assert written(group) == CPU_OF_V2 | {"memory.max": str(64 * MIB), "memory.high": "max"}


def test_v2_is_given_more_at_once(tmp_path: Path) -> None:
    group = group_of_v2(tmp_path, str(32 * MIB), used=31 * MIB)
    CgroupV2(tmp_path).limit("/p/a", LIMITS)
    assert written(group) == CPU_OF_V2 | {"memory.max": str(64 * MIB)}


def test_v2_that_does_not_fit_is_left_as_it_was(tmp_path: Path) -> None:
    group = group_of_v2(tmp_path, str(128 * MIB), used=100 * MIB)
    with pytest.raises(EngineError, match="It uses 100 MiB of memory, which do not fit in 64 MiB"):
        CgroupV2(tmp_path).limit("/p/a", LIMITS)
    assert written(group) == {"memory.max": f"{128 * MIB}\n", "memory.high": "max"}


def test_v2_without_a_limit_of_cpu(tmp_path: Path) -> None:
    group = group_of_v2(tmp_path, "max")
    CgroupV2(tmp_path).limit("/p/a", Limits(memory_bytes=64 * MIB, cpu_cores=None))
    assert (group / "cpu.max").read_text() == "max 100000"


def test_v2_hands_its_controllers_down_to_a_group(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "p"):
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.subtree_control").write_text("")
    CgroupV2(tmp_path).weigh("/p/shims", 1024, cores=0.5)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"
    assert (tmp_path / "p" / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"
    assert (tmp_path / "p/shims/cpu.weight").read_text() == "39"
    assert (tmp_path / "p/shims/cpu.max").read_text() == "50000 100000"


@pytest.mark.parametrize("swap", [True, False])
def test_v1_limits_memory_and_swap_alike(tmp_path: Path, swap: bool) -> None:
    memory, cpu, pids = (tmp_path / name / "p" / "a" for name in ("memory", "cpu", "pids"))
    for folder in (memory, cpu, pids):
        folder.mkdir(parents=True)
    (memory / "memory.limit_in_bytes").write_text(f"{128 * MIB}\n")
    if swap:
        (memory / "memory.memsw.limit_in_bytes").write_text(f"{128 * MIB}\n")
    CgroupV1(tmp_path).limit("/p/a", LIMITS)
    both = {"memory.memsw.limit_in_bytes": str(64 * MIB)} if swap else {}
    assert written(memory) == {"memory.limit_in_bytes": str(64 * MIB)} | both
    assert written(cpu) == {
        "cpu.shares": "512",
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "150000",
    }
    assert written(pids) == {"pids.max": "50"}
