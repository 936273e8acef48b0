#!/usr/bin/env python3
"""Many idle instances on one host: what each costs, and whether the agent still answers.

In: root; a real agent in a temporary folder.  Out: memory per instance (its own processes beside what we add: conmon,
init, kernel), processor time of the agent while all sleep, starts a second, and times of a report.

    .venv/bin/python bench/density.py [--instances 500]
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "system" / "runtime_agent"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "integration" / "runtime"))

from agent_on_processes import AGENT_TOKEN
from test_agent_real import RealAgent

from runtime.client import AgentClient
from runtime.model import (
    ContainerSpec,
    HealthCheck,
    HealthKind,
    InstanceSpec,
    InstanceState,
    Limits,
    Rootfs,
    WantedState,
    encode,
)

WANTED_MB = 3.0
IDLE_SECONDS = 20.0
MEBIBYTE = 2**20


def idle(number: int) -> InstanceSpec:
    spec = ContainerSpec(
        id=f"i{number}",
        owner=f"app{number // 5}",  # five instances an app
        name=f"web.{number % 5 + 1}",
        rootfs=Rootfs(host=True),
        argv=("/bin/sleep", "86400"),
        cwd="/",
        limits=Limits(memory_bytes=64 * MEBIBYTE),
        grace_seconds=1.0,
    )
    return InstanceSpec(container=spec, health=HealthCheck(kind=HealthKind.STEADY, steady_seconds=0.5))


def pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def processes(word: str) -> dict[int, str]:
    """Processes with `word` in their command line: pid and program."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes()
        except OSError:
            continue
        if word.encode() in words and int(place.name) != os.getpid():
            found[int(place.name)] = words.split(b"\0")[0].decode()
    return found


def members(tag: str) -> list[int]:
    found: list[int] = []
    places = [Path("/sys/fs/cgroup/pids") / f"paas-{tag}", Path("/sys/fs/cgroup") / f"paas-{tag}"]
    for file in next(place for place in places if place.is_dir()).rglob("cgroup.procs"):
        found += [int(line) for line in file.read_text().split()]
    return found


def kernel_memory() -> int:
    """What the kernel has in use for itself and for files that are only in memory, on the whole machine.

    Other work on it shows too: believe a second run. Free memory would show still more of that.
    """
    kinds = ("Slab", "KernelStack", "PageTables", "Percpu", "Shmem")
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return sum(int(words[1]) * 1024 for words in lines if words[0].rstrip(":") in kinds)


def cpu_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def start(client: AgentClient, instances: int) -> float:
    """Give them all at once; return the seconds until the last is up."""
    begun = time.perf_counter()
    specs = tuple(idle(number) for number in range(instances))
    client.put_wanted(WantedState(generation=1, instances=specs))
    while sum(one.state is InstanceState.UP for one in client.report().instances) < instances:
        if time.perf_counter() - begun > 60 + instances:
            raise SystemExit("they did not all come up in time")
        time.sleep(0.25)
    return time.perf_counter() - begun


def measure(agent: RealAgent, client: AgentClient, instances: int) -> None:
    assert agent.process
    pid = agent.process.pid
    base, agent_base = kernel_memory(), pss(pid)
    seconds = start(client, instances)
    print(f"{instances} starts in {seconds:.1f} s: {instances / seconds:.1f} a second, with health checks")
    kernel = kernel_memory() - base
    inits = sum(pss(one) for one in members(agent.tag) if _name(one) != "sleep")
    shims = sum(pss(one) for one, program in processes(str(agent.home)).items() if program == "conmon")
    rows = {"conmon": shims, "init": inits, "agent": pss(pid) - agent_base, "kernel": kernel}
    for name, size in rows.items():
        print(f"  {name:8} {size / instances / MEBIBYTE:6.2f} MB per instance")
    per = sum(rows.values()) / instances / MEBIBYTE
    print(
        f"overhead {per:.2f} MB per instance (wanted: at most {WANTED_MB:g}) {'ok' if per <= WANTED_MB else 'MISSED'}"
    )
    before, begun = cpu_seconds(pid), time.perf_counter()
    time.sleep(IDLE_SECONDS)
    share = (cpu_seconds(pid) - before) / (time.perf_counter() - begun)
    print(f"agent while all sleep: {share * 100:.1f} % of a processor, {pss(pid) / MEBIBYTE:.0f} MB")
    begun = time.perf_counter()
    report = client.report()
    print(f"report: {(time.perf_counter() - begun) * 1000:.0f} ms, {len(encode(report)) / 1024:.0f} KiB")
    begun = time.perf_counter()
    client.put_wanted(WantedState(generation=2))
    while any(one.state is not InstanceState.STOPPED for one in client.report().instances):
        time.sleep(0.25)
    print(f"all stopped and removed in {time.perf_counter() - begun:.1f} s")


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--instances", type=int, default=500)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("containers need root")
    home = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
    agent = RealAgent(home, "")
    agent.subnet = f"10.{random.randrange(100, 250)}.{random.randrange(16) * 16}.0/20"
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    client = agent.start()
    try:
        measure(agent, client, arguments.instances)
    finally:
        if agent.process and agent.process.poll() is None:
            AgentClient(f"http://{(home / 'agent' / 'address').read_text()}", AGENT_TOKEN).stop()
            agent.process.wait(300)
        left = agent.leftovers()
        if left:
            print("left behind:", *left, sep="\n  ")
        shutil.rmtree(home, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
