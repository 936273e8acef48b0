"""Counters as the kernel writes them, for both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.container.cgroup import CgroupV1, CgroupV2, detect, parse_pairs, weight_of
from runtime.container.counters import interface_bytes
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
    "memory/p/a/memory.max_usage_in_bytes": "7000\n",
    "cpu/p/a/cpu.stat": "nr_periods 9\nnr_throttled 4\nthrottled_time 2500000000\n",
    "blkio/p/a/blkio.throttle.io_service_bytes": "8:0 Read 10\n8:0 Write 5\n8:16 Read 1\nTotal 16\n",
}
V2 = {
    "cgroup.controllers": "cpuset cpu io memory pids\n",
    "p/a/memory.current": "5000\n",
    "p/a/memory.stat": "anon 1\ninactive_file 1000\n",
    "p/a/memory.events": "low 0\noom 3\noom_kill 2\n",
    "p/a/memory.peak": "7000\n",
    "p/a/cpu.stat": "usage_usec 1500000\nuser_usec 1\nnr_periods 9\nnr_throttled 4\nthrottled_usec 2500000\n",
    "p/a/io.stat": "8:0 rbytes=10 wbytes=5 rios=1\n8:16 rbytes=1 wbytes=0\n",
    "p/a/pids.current": "3\n",
    "p/a/cgroup.procs": "11\n12\n",
}


@pytest.mark.parametrize(("files", "kind"), [(V1, CgroupV1), (V2, CgroupV2)])
def test_both_versions_say_the_same(tmp_path: Path, files: dict[str, str], kind: type) -> None:
    write(tmp_path, files)
    cgroups = detect(tmp_path)
    assert isinstance(cgroups, kind)
    expected = Usage(
        memory_bytes=4000,
        memory_limit_bytes=9000,
        cpu_seconds=1.5,
        pids=3,
        memory_peak_bytes=7000,
        cpu_throttled_seconds=2.5,
        cpu_periods=9,
        cpu_throttled_periods=4,
        read_bytes=11,
        written_bytes=5,
    )
    assert cgroups.usage("/p/a", 9000) == expected
    assert cgroups.oom_kills("/p/a") == 2
    assert cgroups.children("/p") == ("a",)
    assert cgroups.processes("/p") == (11, 12)


def test_pressure_where_the_kernel_tells_it(tmp_path: Path) -> None:
    text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 total=1\n"
    write(tmp_path, V2 | {"p/a/memory.pressure": text})
    usage = detect(tmp_path).usage("/p/a", 1)
    assert usage is not None
    assert (usage.memory_pressure_seconds, usage.io_pressure_seconds) == (1.5, None)


def test_traffic_is_told_from_the_containers_side(tmp_path: Path) -> None:
    write(tmp_path, {"v1/statistics/rx_bytes": "7\n", "v1/statistics/tx_bytes": "9\n"})
    assert interface_bytes("v1", tmp_path) == (9, 7)
    assert interface_bytes("v2", tmp_path) == (0, 0)


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


@pytest.mark.parametrize(
    ("files", "weight", "members"),
    [(V1, "cpu/p/cpu.shares", "cpu/p/cgroup.procs"), (V2, "p/cpu.weight", "p/cgroup.procs")],
)
def test_a_group_has_a_weight_and_members(
    tmp_path: Path, files: dict[str, str], weight: str, members: str
) -> None:
    write(tmp_path, files)
    cgroups = detect(tmp_path)
    cgroups.weigh("/p", 4096)
    cgroups.enter("/p", 77)
    assert (tmp_path / weight).read_text() == ("4096" if cgroups.version == 1 else "157")
    assert (tmp_path / members).read_text() == "77"
    cgroups.reweigh("/p", 2)
    assert (tmp_path / weight).read_text() == ("2" if cgroups.version == 1 else "1")
    quota = tmp_path / ("cpu/p/cpu.cfs_quota_us" if cgroups.version == 1 else "p/cpu.max")
    for cores, texts in ((0.02, ("2000", "2000 100000")), (None, ("-1", "max 100000"))):
        cgroups.confine("/p", cores)
        assert quota.read_text() == texts[cgroups.version - 1]
    cgroups.enter("/gone", 77)
    cgroups.reweigh("/gone", 2)
    cgroups.confine("/gone", 2.0)
    assert not cgroups.exists("/gone")


def test_shares_become_weights_as_crun_reckons() -> None:
    assert [weight_of(shares) for shares in (2, 1024, 262144)] == [1, 39, 10000]


@pytest.mark.parametrize(("files", "group"), [(V1, "pids/p/a"), (V2, "p/a")])
def test_refused_forks_and_processor_time(tmp_path: Path, files: dict[str, str], group: str) -> None:
    write(tmp_path, {**files, f"{group}/pids.events": "max 12\n", f"{group}/pids.max": "256\n"})
    cgroups = detect(tmp_path)
    assert cgroups.refused_forks("/p/a") == (12, 256)
    assert cgroups.cpu_microseconds("/p/a") == 1_500_000
    assert cgroups.refused_forks("/gone") == (0, 0)
    assert cgroups.cpu_microseconds("/gone") == 0
