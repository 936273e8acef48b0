"""Snapshots under write load: consistent, bounded, on another host too; nothing stays frozen, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.container.config import EngineConfig
from runtime.container.engine import CrunEngine
from runtime.model import VolumeSpec
from runtime.volumes.errors import VolumeBusy, VolumeError, VolumeInvalid, VolumeMissing
from runtime.volumes.freezing import frozen
from tests.system.runtime.conftest import Host, collect_orphans, make_config
from tests.system.runtime.test_volumes import MIB, eventually, make, mounted

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[3]
# Numbered records with checksums, synced before they are told; a state file, renamed, never ahead of them.
WRITER = """
import hashlib, os, random
log = os.open('/data/log', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
big = os.open('/data/big', os.O_RDWR | os.O_CREAT)
n = os.fstat(log).st_size // 1024
while True:
    n += 1
    body = b'%016d' % n + random.randbytes(976)
    os.write(log, body + hashlib.blake2b(body, digest_size=32).digest())
    os.pwrite(big, random.randbytes(65536), (n % 512) * 65536)
    os.fsync(log)
    with open('/data/.state', 'w') as file: file.write(str(n)); file.flush(); os.fsync(file.fileno())
    os.rename('/data/.state', '/data/state')
    print(n, flush=True)
"""
CHECKER = """
import hashlib, os
data = open('/data/log', 'rb').read()
for at in range(0, len(data) - 1023, 1024):
    body, digest = data[at:at + 992], data[at + 992:at + 1024]
    assert int(body[:16]) == at // 1024 + 1, 'a record is missing'
    assert hashlib.blake2b(body, digest_size=32).digest() == digest, 'a record is torn'
assert int(open('/data/state').read()) <= len(data) // 1024, 'the state is ahead of its records'
print('consistent', len(data) // 1024, os.stat('/data/log').st_uid, oct(os.stat('/data/log').st_mode & 0o777))
"""


def written(host: Host, container: str) -> int:
    lines = host.output(container).splitlines()
    return int(lines[-1]) if lines else 0


def goes_on(host: Host, container: str) -> None:
    seen = written(host, container)
    eventually(lambda: written(host, container) > seen + 2)


def check(host: Host, name: str, owner: str = "app-1") -> int:
    said = host.python(CHECKER, owner=owner, volumes=mounted(name))[1].split()
    assert said[0] == "consistent" and said[2:] == ["1000", "0o600"], said
    return int(said[1])


@pytest.fixture(scope="module")
def writer(host: Host) -> Iterator[str]:
    make(host, "busy", 96 * MIB)
    container = host.start("/usr/bin/python3", "-c", WRITER, volumes=mounted("busy"))
    eventually(lambda: written(host, container) > 20)
    yield container
    host.engine.delete(container)


def test_a_snapshot_under_write_load_is_consistent_and_can_be_cloned(host: Host, writer: str) -> None:
    keeper = host.engine.keeper()
    before = written(host, writer)
    assert keeper.snapshot("v-busy", "one").disk_bytes > MIB
    goes_on(host, writer)
    assert keeper.snapshot("v-busy", "one").name == "one"  # it is there already
    assert [one.name for one in keeper.snapshots("v-busy")] == ["one"]
    clone = keeper.create(
        VolumeSpec(id="v-clone", owner="app-1", name="clone", size_bytes=0, source="v-busy/one")
    )
    assert clone.size_bytes == 96 * MIB and clone.source == "v-busy/one"
    assert before <= check(host, "clone") <= written(host, writer)
    with pytest.raises(VolumeMissing, match="has no snapshot two; it has: one"):
        next(keeper.export("v-busy", "two"))
    keeper.remove("v-clone")
    keeper.remove_snapshot("v-busy", "one")
    assert keeper.snapshots("v-busy") == ()


def test_a_backup_under_write_load_is_restored_on_another_host_with_other_ids(
    host: Host, writer: str, open_host: Callable[..., Host]
) -> None:
    other = open_host()
    other.shell("true", owner="somebody-else")  # has the range that app-1 has over here
    before = written(host, writer)
    backup = b"".join(host.engine.keeper().export("v-busy", ""))
    assert subprocess.run(["gzip", "-t"], input=backup, check=True) and len(backup) > MIB
    for broken in (
        backup[:-1],
        backup[:-2000],
        backup[:5000] + b"?" + backup[5001:],
        b"nothing like it" * 10,
    ):
        sink = other.engine.keeper().receive("v-moved", "app-1", "moved")
        with pytest.raises(VolumeInvalid):
            sink.write(broken)
            sink.finish()
        sink.drop()
    assert other.engine.keeper().list() == ()
    sink = other.engine.keeper().receive("v-moved", "app-1", "moved")
    for at in range(0, len(backup), 100_000):
        sink.write(backup[at : at + 100_000])
    assert sink.finish().size_bytes == 96 * MIB
    sink.drop()
    assert before <= check(other, "moved") <= written(host, writer)
    ranges = [one.engine._parts.owners.range_start("app-1") for one in (host, other)]
    assert ranges[0] != ranges[1]


def test_restoring_is_refused_in_use_and_then_exact(host: Host) -> None:
    volume, keeper = make(host, "undo"), host.engine.keeper()
    host.shell("echo old >/data/f", volumes=mounted("undo"))
    keeper.snapshot(volume, "before")
    container = host.start("/bin/sh", "-c", "echo new >/data/f; echo ok; sleep 600", volumes=mounted("undo"))
    eventually(lambda: "ok" in host.output(container))
    with pytest.raises(VolumeBusy, match=rf"in use by web\.\d+ \({container}\) and cannot be put back"):
        keeper.restore(volume, "before")
    host.engine.delete(container)
    keeper.grow(volume, 64 * MIB)
    assert keeper.restore(volume, "before").size_bytes == 64 * MIB
    script = f"cat /data/f; dd if=/dev/zero of=/data/g bs={MIB} count=60 2>/dev/null && echo large"
    assert host.shell(script, volumes=mounted("undo"))[1].split() == ["old", "large"]


def test_writers_are_held_no_longer_than_the_deadline(host: Host, writer: str) -> None:
    target = host.engine._parts.data.target("v-busy")

    def hold() -> None:
        with frozen(target, 0.3):
            seen = written(host, writer)
            eventually(lambda: written(host, writer) > seen + 2)

    with pytest.raises(VolumeError, match=r"could not be copied within 0\.3 seconds; its writers went on"):
        host.engine._mounts.call(hold)


HOLDER = """
import sys, time
from pathlib import Path
from runtime.container.config import EngineConfig
from runtime.container.engine import CrunEngine
from runtime.volumes import snapshots
engine = CrunEngine(EngineConfig(home=Path(sys.argv[1]), tag=sys.argv[2], subnet=sys.argv[3], pool_size=2))
engine.open()
def stand_still(record):
    print('frozen', flush=True)
    time.sleep(600)
snapshots._deadline = stand_still
engine.keeper().snapshot('v-busy', 'never')
"""


@pytest.mark.parametrize("guard_too", [False, True])
def test_an_agent_killed_in_mid_snapshot_leaves_nothing_frozen(
    open_host: Callable[..., Host], guard_too: bool
) -> None:
    config = make_config(blocked=())
    host = open_host(config)
    make(host, "busy", 48 * MIB)
    container = host.start("/usr/bin/python3", "-c", WRITER, volumes=mounted("busy"))
    eventually(lambda: written(host, container) > 5)
    host.engine.close(remove=False)
    _kill_in_mid_snapshot(config, guard_too)
    if not guard_too:
        goes_on(host, container)  # before any agent is back
    host.engine.open()
    goes_on(host, container)
    keeper = host.engine.keeper()
    assert keeper.snapshots("v-busy") == () and not list((config.home / "data").rglob(".*"))
    assert [one.container for one in keeper.list()[0].holders] == [container]
    keeper.snapshot("v-busy", "after")
    host.engine.delete(container)
    keeper.restore("v-busy", "after")
    assert check(host, "busy") > 5


def _kill_in_mid_snapshot(config: EngineConfig, guard_too: bool) -> None:
    command = [sys.executable, "-c", HOLDER, str(config.home), config.tag, config.subnet]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as agent:
        assert agent.stdout is not None and agent.stdout.readline() == "frozen\n"
        if guard_too:
            children = Path(f"/proc/{agent.pid}/task").glob("*/children")
            pids = [int(pid) for file in children for pid in file.read_text().split()]
            (guard,) = (pid for pid in pids if b"guard.py" in Path(f"/proc/{pid}/cmdline").read_bytes())
            os.kill(agent.pid, signal.SIGSTOP)  # it must not mend what its guard no longer does
            os.kill(guard, signal.SIGKILL)
        agent.kill()
    collect_orphans()


def test_an_engine_knows_who_holds_what_after_a_restart(open_host: Callable[..., Host]) -> None:
    config = make_config(blocked=())
    host = open_host(config)
    volume = make(host, "held")
    container = host.start("/bin/sleep", "600", volumes=mounted("held"))
    host.engine.close(remove=False)
    host.engine = CrunEngine(config)
    host.engine.open()
    try:
        with pytest.raises(VolumeBusy, match=container):
            host.start("/bin/sleep", "600", volumes=mounted("held"))
        host.engine.delete(container)
        host.engine.keeper().remove(volume)
        assert not (config.home / "data" / volume).exists()
    finally:
        host.engine.close(remove=True)
