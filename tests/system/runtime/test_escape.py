"""The escape probe: what a hostile tenant tries in a container, against a fixed table of what it gets."""

from __future__ import annotations

import json
import os
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
    "unmasked": [],
    "not_readonly": [],
}
# A refused call answers as it does to any unprivileged process; what is not in either list, as an old kernel would.
UNKNOWN = {"clone_newuser", "clone3", "memfd_secret", "personality_odd"}
# Without a user namespace crun drops the flag of /; no_new_privs makes suid files harmless all the same. With one runc
# binds the host's device nodes one by one instead of making them, with the flags that the host's /dev has: they are no
# programs.
NOT_NOSUID = {
    ("crun", True): [],
    ("crun", False): ["/"],
    ("runc", True): []
    if os.statvfs("/dev").f_flag & os.ST_NOSUID
    else [f"/dev/{name}" for name in ("null", "random", "full", "tty", "zero", "urandom")],
    ("runc", False): [],
}
ULIMITS = {"nofile": (300, 400), "nproc": (64, 64), "stack": (2**20, 2**22), "memlock": (4096, 4096)}


@pytest.mark.parametrize(
    ("network", "namespaces", "runtime"),
    [
        (NetworkMode.APP, True, "crun"),
        (NetworkMode.APP, False, "crun"),
        (NetworkMode.BUILD, True, "crun"),
        (NetworkMode.BUILD, False, "crun"),
        (NetworkMode.APP, True, "runc"),
        (NetworkMode.APP, False, "runc"),
    ],
)
def test_the_probe_gets_nothing(open_host, network: NetworkMode, namespaces: bool, runtime: str) -> None:
    host = open_host(user_namespaces=namespaces, runtime=runtime)
    result = _probe(host, network)
    assert {name: answer for name, answer in result["calls"].items() if answer != _refusal(name)} == {}
    assert {name: result[name] for name in EXPECTED} == EXPECTED
    assert result["uid_map"] == (["0", "1000000", "65536"] if namespaces else ["0", "0", "4294967295"])
    assert result["not_nosuid"] == NOT_NOSUID[runtime, namespaces]
    assert result["root_readonly"] is False
    assert result["pids"][0] == 1
    assert len(result["pids"]) == 2  # the init and the probe


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_what_the_spec_sets_is_seen_inside(host: Host, runtime: str) -> None:
    """Resource limits, masked and read-only paths, no new privileges, a read-only root: each as it was set."""
    result = _probe(host, NetworkMode.APP, runtime=runtime, readonly=True, ulimits=ULIMITS)
    assert result["rlimits"] == {name: list(pair) for name, pair in ({"core": (0, 0)} | ULIMITS).items()}
    assert (result["unmasked"], result["not_readonly"]) == ([], [])
    assert (result["no_new_privs"], result["seccomp"]) == ("1", "2")
    assert result["root_readonly"] is True
    assert result["writable"] == ["/dev/mqueue", "/dev/shm", "/tmp"]
    assert {name: answer for name, answer in result["calls"].items() if answer != _refusal(name)} == {}


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


def _refusal(call: str) -> str:
    return "ENOSYS" if call in UNKNOWN else "EPERM"


def _probe(host: Host, network: NetworkMode, **changes: Any) -> dict[str, Any]:
    probe = Path(__file__).with_name("probe.py")
    binds = (Bind(source=str(probe), target="/app/probe.py"),)
    ended, output = host.run(
        "/usr/bin/python3", "/app/probe.py", create={"binds": binds}, network=network, **changes
    )
    assert ended.code == 0, output
    result: dict[str, Any] = json.loads(output)
    return result
