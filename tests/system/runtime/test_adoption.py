"""What outlives the agent: containers, exits and files after kill -9; and what must not: half-made leftovers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime import slices
from runtime.container.cgroup import detect
from runtime.container.config import EngineConfig
from runtime.container.engine import CrunEngine
from runtime.container.layout import Layout
from runtime.container.owners import Owners
from runtime.container.port import VolumeBind
from runtime.model import ExitReason, NetworkMode
from tests.system.runtime.conftest import Host, collect_orphans, make_config, traces
from tests.system.runtime.records import after_a_reboot, record_of

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[3]
PREFIX = """
import sys, time
from pathlib import Path
from runtime.container.config import EngineConfig
from runtime.container.engine import CrunEngine
from runtime.container.port import VolumeBind
from runtime.model import ContainerSpec, Rootfs
engine = CrunEngine(EngineConfig(home=Path(sys.argv[1]), tag=sys.argv[2], subnet=sys.argv[3], pool_size=2))
engine.open()
def start(name, script, **more):
    spec = ContainerSpec(id=name, owner='app-1', name=name, rootfs=Rootfs(host=True), argv=('/bin/sh', '-c', script))
    engine.create(spec, **more)
    engine.start(name)
"""


class Agent:
    """Another process with an engine of the same home, to be killed."""

    def __init__(self, config: EngineConfig, script: str) -> None:
        command = [sys.executable, "-c", PREFIX + script, str(config.home), config.tag, config.subnet]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)

    def kill_when_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def config(open_host: Callable[..., Host]) -> Iterator[EngineConfig]:
    made = make_config(blocked=())
    open_host(made).engine.close(remove=False)  # registers it for removal at the end
    yield made


def test_supervisors_keep_their_share_and_processes_their_slice(
    config: EngineConfig, open_host: Callable[..., Host]
) -> None:
    """What a flood of output may take of the host, and how soon one app makes room for another."""
    Agent(
        config, "start('stays', 'sleep 1000 & wait')\nprint('ready', flush=True)\ntime.sleep(60)"
    ).kill_when_ready()
    groups, layout = detect(), Layout(config.home, config.tag)
    (shims,) = groups.groups(layout.shims)
    (conmon,) = before = (shims / "cgroup.procs").read_text().split()
    assert Path(f"/proc/{conmon}/comm").read_text() == "conmon\n"
    host = open_host(config)
    assert [one.running for one in host.engine.list()] == [True]
    assert (shims / "cgroup.procs").read_text().split() == before
    quota = shims / ("cpu.max" if groups.version == 2 else "cpu.cfs_quota_us")
    assert quota.read_text().split()[0] == str(25_000 * (os.cpu_count() or 1))
    own = slices.slice_of(0) and slices.SHORTEST  # 0 on a kernel that knows of none
    members = groups.processes(layout.cgroup_of("stays"))
    assert len(members) >= 2
    assert {slices.slice_of(pid) for pid in members} == {own}


def test_running_and_ended_containers_are_adopted(
    config: EngineConfig, open_host: Callable[..., Host]
) -> None:
    script = """
start('stays', 'echo hello > /app/file; trap "exit 9" TERM; while :; do sleep 0.1; done')
start('ends', 'sleep 1; echo result > /tmp/result; exit 7', scratch_bytes=32 * 2**20,
      volumes=(VolumeBind(name='cache', target='/cache', size_bytes=2**24),))
spec = ContainerSpec(id='waits', owner='app-1', name='waits', rootfs=Rootfs(host=True), argv=('/bin/true',))
engine.create(spec)
print('ready', flush=True)
time.sleep(60)
"""
    Agent(config, script).kill_when_ready()
    time.sleep(1.2)  # one of them ends while nobody looks
    host = open_host(config)
    seen = {observed.id: observed for observed in host.engine.list()}
    assert set(seen) == {"stays", "ends", "waits"}
    assert seen["stays"].running
    assert seen["stays"].started_at is not None
    assert seen["stays"].address.startswith("10.")
    ended = seen["ends"].exit
    assert ended is not None
    assert (ended.reason, ended.code) == (ExitReason.EXITED, 7)
    assert host.engine.read_file("ends", "/tmp/result", 99) == b"result\n"
    assert host.engine.read_file("stays", "/app/file", 99) == b"hello\n"
    host.engine.start("waits")
    assert host.finish("waits")[0].code == 0
    host.engine.kill("stays", signal.SIGTERM)
    assert host.finish("stays")[0].code == 9
    for container in seen:
        host.engine.delete(container)
    assert host.engine.list() == ()
    host.engine.close(remove=True)
    assert traces(config) == []


def test_the_network_of_adopted_containers_still_holds(
    config: EngineConfig, open_host: Callable[..., Host]
) -> None:
    script = """
start('server', 'exec python3 -m http.server 8000')
print('ready', flush=True)
time.sleep(60)
"""
    Agent(config, script).kill_when_ready()
    host = open_host(config)
    address = host.engine.list()[0].address
    connect = f"""
import socket, sys, time
for _ in range(100):
    try:
        socket.create_connection(("{address}", 8000), 2)
        sys.exit(0)
    except ConnectionRefusedError:
        time.sleep(0.05)
    except OSError:
        sys.exit(4)
sys.exit(5)
"""
    assert host.python(connect)[0].code == 0
    assert host.python(connect, owner="app-2")[0].code != 0
    addresses = {host.engine.create(host.spec("true", network=NetworkMode.APP)).address for _ in range(3)}
    assert address not in addresses


def test_half_made_leftovers_are_removed(config: EngineConfig, open_host: Callable[..., Host]) -> None:
    script = """
start('whole', 'sleep 600')
start('half', 'sleep 600', volumes=(VolumeBind(name='cache', target='/cache', size_bytes=2**24),))
Path(sys.argv[1], 'c/half').unlink()
print('ready', flush=True)
time.sleep(60)
"""
    Agent(config, script).kill_when_ready()
    host = open_host(config)
    assert [observed.id for observed in host.engine.list()] == ["whole"]
    assert not any("half" in trace for trace in traces(config))
    assert not (config.home / "c" / "half").exists()
    assert list(Path("/sys/fs/cgroup").glob(f"**/paas-{config.tag}/half")) == []
    again = host.spec("true", id="half")
    assert (
        host.engine.create(again, volumes=(VolumeBind(name="cache", target="/cache", size_bytes=2**24),)).id
        == "half"
    )


def test_a_killed_agent_in_the_midst_of_creating(
    config: EngineConfig, open_host: Callable[..., Host]
) -> None:
    script = """
import threading
def many(letter):
    for number in range(100):
        start(f'{letter}{number}', 'sleep 600')
for letter in 'ab':
    threading.Thread(target=many, args=(letter,), daemon=True).start()
while len(engine.list()) < 3:
    time.sleep(0.01)
print('ready', flush=True)
time.sleep(60)
"""
    Agent(config, script).kill_when_ready()
    host = open_host(config)
    known = {observed.id for observed in host.engine.list()}
    assert known
    assert all(observed.running for observed in host.engine.list())
    assert {path.name for path in (config.home / "c").iterdir()} == known
    host.engine.close(remove=True)
    collect_orphans()
    assert traces(config) == []


def test_a_killed_supervisor_means_lost(config: EngineConfig, open_host: Callable[..., Host]) -> None:
    host = open_host(config)
    container = host.start("/bin/sleep", "600")
    pid = next(observed.pid for observed in host.engine.list())
    os.kill(record_of(config.home, container).conmon_pid, signal.SIGKILL)
    ended, _ = host.finish(container)
    assert ended.reason is ExitReason.LOST
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    host.engine.delete(container)
    assert not Path(f"/proc/{pid}").exists()


def test_after_a_reboot_everything_is_lost_and_deletable(
    config: EngineConfig, open_host: Callable[..., Host]
) -> None:
    host = open_host(config)
    container = host.start("/bin/sleep", "600")
    host.engine.kill(container, signal.SIGKILL)
    host.finish(container)
    host.engine.close(remove=False)
    after_a_reboot(config.home, container)
    second = CrunEngine(config)
    second.open()
    try:
        (observed,) = second.list()
        assert observed.exit is not None
        assert observed.exit.reason is ExitReason.LOST
        second.delete(container)
        assert second.list() == ()
    finally:
        second.close(remove=True)
    assert traces(config) == []


def test_owners_keep_their_range(tmp_path: Path) -> None:
    first = Owners(tmp_path / "owners.json")
    ranges = [first.range_start(owner) for owner in ("a", "b", "a")]
    assert ranges == [1_000_000, 1_065_536, 1_000_000]
    assert Owners(tmp_path / "owners.json").range_start("b") == 1_065_536
