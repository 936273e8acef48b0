"""Counters as the kernel writes them, for both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.container.cgroup import CgroupV1, CgroupV2, detect, parse_pairs
from runtime.container.port import EngineError, Usage

pytestmark = pytest.mark.unit


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


V1 = {
    "memory/p/a/memory.usage_in_bytes": "5000\n",
    "memory/p/a/memory.stat": "cache 9\ntotal_inactive_file 1000\n",
    "memory/p/a/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "cpuacct/p/a/cpuacct.usage": "1500000000\n",
    "pids/p/a/pids.current": "3\n",
    "pids/p/a/cgroup.procs": "11\n12\n",
    "cpu/p/a/x": "",
}
V2 = {
    "cgroup.controllers": "cpuset cpu io memory pids\n",
    "p/a/memory.current": "5000\n",
    "p/a/memory.stat": "anon 1\ninactive_file 1000\n",
    "p/a/memory.events": "low 0\noom 3\noom_kill 2\n",
    "p/a/cpu.stat": "usage_usec 1500000\nuser_usec 1\n",
    "p/a/pids.current": "3\n",
    "p/a/cgroup.procs": "11\n12\n",
}


@pytest.mark.parametrize(("files", "kind"), [(V1, CgroupV1), (V2, CgroupV2)])
def test_both_versions_say_the_same(tmp_path: Path, files: dict[str, str], kind: type) -> None:
    write(tmp_path, files)
    cgroups = detect(tmp_path)
    assert isinstance(cgroups, kind)
    expected = Usage(memory_bytes=4000, memory_limit_bytes=9000, cpu_seconds=1.5, pids=3)
    assert cgroups.usage("/p/a", 9000) == expected
    assert cgroups.oom_kills("/p/a") == 2
    assert cgroups.children("/p") == ("a",)
    assert cgroups.processes("/p") == (11, 12)


@pytest.mark.parametrize("files", [V1, V2])
def test_what_is_gone_is_none_or_nothing(tmp_path: Path, files: dict[str, str]) -> None:
    write(tmp_path, files)
    cgroups = detect(tmp_path)
    assert cgroups.usage("/p/b", 1) is None
    assert cgroups.oom_kills("/p/b") == 0
    assert cgroups.processes("/q") == cgroups.children("/q") == ()
    cgroups.remove("/q")


def test_removal_takes_empty_parents_in_every_hierarchy(tmp_path: Path) -> None:
    for name in ("memory/p/a/b", "cpu/p/a", "cpuacct/p", "pids/p", "systemd/p/a"):
        (tmp_path / name).mkdir(parents=True)
    detect(tmp_path).remove("/p")
    assert not list(tmp_path.glob("*/p"))


def test_missing_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="No control groups"):
        detect(tmp_path)
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    with pytest.raises(EngineError, match="pids"):
        detect(tmp_path)


def test_pairs_skip_what_is_no_number() -> None:
    assert parse_pairs("a 1\nb max\nc\n\nd 2 3\n") == {"a": 1}
