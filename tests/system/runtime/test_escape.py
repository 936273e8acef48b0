"""The escape probe: what a hostile tenant tries in a container, against a fixed table of what it gets."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import pytest

from runtime.container.port import Bind
from runtime.model import Limits, NetworkMode
from tests.system.runtime.conftest import Host

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="system call numbers of x86_64"),
]

EXPECTED: dict[str, Any] = {
    "sockets": ["inet", "inet6", "netlink_route", "unix"],
    "writes": ["/proc/1/oom_score_adj"],  # its own init's, which it can only raise
    "reads": ["/proc/1/environ"],  # its own environment
    "nodes": [],
    "capabilities": ["0000000000000000"] * 5,
    "no_new_privs": "1",
    "seccomp": "2",
    "fds": [0, 1, 2],
    "interfaces": ["lo", "eth0"],
    "sys_interfaces": ["eth0", "lo"],
    "cgroups": [],
    "writable": ["/app", "/dev/mqueue", "/dev/shm", "/run", "/tmp", "/var/tmp"],
    "secrets": [],
}


@pytest.mark.parametrize("network", [NetworkMode.APP, NetworkMode.BUILD])
@pytest.mark.parametrize("namespaces", [True, False])
def test_the_probe_gets_nothing(open_host, network: NetworkMode, namespaces: bool) -> None:
    host = open_host(user_namespaces=namespaces)
    result = _probe(host, network)
    allowed = {name: answer for name, answer in result["calls"].items() if answer != "ENOSYS"}
    assert allowed == {}
    assert {name: result[name] for name in EXPECTED} == EXPECTED
    assert result["uid_map"] == (["0", "1000000", "65536"] if namespaces else ["0", "0", "4294967295"])
    # Without a user namespace crun drops the flag of /; no_new_privs makes suid files harmless all the same.
    assert result["not_nosuid"] == ([] if namespaces else ["/"])
    assert result["pids"][0] == 1
    assert len(result["pids"]) == 2  # the init and the probe


def test_a_memory_and_a_process_bomb_stay_inside(host: Host) -> None:
    limits = Limits(memory_bytes=64 * 2**20, pids=32, writable_bytes=8 * 2**20)
    bomb = "import os\nblock = []\nwhile True:\n    try: os.fork()\n    except OSError: pass\n"
    bomb += "    block.append(bytearray(2**20))"
    container = host.start("/usr/bin/python3", "-c", bomb, limits=limits)
    try:
        assert host.engine.wait(container, 3) is None or host.engine.list()
        assert host.shell("echo fine")[1] == "fine\n"
        host.engine.kill(container, 9)
        assert host.engine.wait(container, 20) is not None
    finally:
        host.engine.delete(container)


def test_a_log_flood_is_written_and_ends(host: Host) -> None:
    container = host.start(
        "/bin/sh", "-c", "exec yes 'a line of a hundred characters or so, again and again'"
    )
    try:
        assert host.engine.wait(container, 0.5) is None
        host.engine.kill(container, 9)
        assert host.finish(container)[0].signal == 9
    finally:
        host.engine.delete(container)
        host.engine.log_path(container).unlink()


def test_other_apps_processes_are_out_of_reach(host: Host) -> None:
    victim = host.start("/bin/sleep", "60")
    try:
        pid = next(seen.pid for seen in host.engine.list() if seen.id == victim)
        script = (
            f"import os\ntry: os.kill({pid}, 9); print('killed')\nexcept ProcessLookupError: print('unknown')"
        )
        assert host.python(script, owner="app-2")[1] == "unknown\n"
        assert host.engine.wait(victim, 0) is None
    finally:
        host.engine.delete(victim)


def _probe(host: Host, network: NetworkMode) -> dict[str, Any]:
    probe = Path(__file__).with_name("probe.py")
    binds = (Bind(source=str(probe), target="/app/probe.py"),)
    ended, output = host.run("/usr/bin/python3", "/app/probe.py", create={"binds": binds}, network=network)
    assert ended.code == 0, output
    result: dict[str, Any] = json.loads(output)
    return result
