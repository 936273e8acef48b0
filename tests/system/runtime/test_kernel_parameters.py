"""Kernel parameters of one container: seen inside it, and nowhere else on the host, then or later."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.container import sysctls
from runtime.container.port import EngineError
from runtime.kernel import SYSCTLS, ULIMITS
from runtime.model import ExecSpec, NetworkMode
from tests.system.runtime.conftest import Host

pytestmark = pytest.mark.system

WISHES = {
    "fs.mqueue.msg_max": "33",
    "kernel.msgmnb": "77777",
    "kernel.sem": "123 32000 100 128",
    "kernel.shmmax": "12345678",
    "net.core.somaxconn": "1234",
    "net.ipv4.ip_local_port_range": "2000 3000",
    "net.ipv4.tcp_fin_timeout": "17",
    "net.ipv4.tcp_rmem": "4096 8192 16384",
}
SHOW = "cd /proc/sys; for f in " + " ".join(name.replace(".", "/") for name in sorted(SYSCTLS))
SHOW += '; do echo "$f" $(cat $f); done'


def on_host() -> dict[str, str]:
    return {name: " ".join(_file(name).read_text().split()) for name in SYSCTLS if _file(name).exists()}


def _file(name: str) -> Path:
    return Path("/proc/sys", *name.split("."))


def seen(output: str) -> dict[str, str]:
    """What a container printed by SHOW."""
    pairs = (line.partition(" ")[::2] for line in output.splitlines())
    return {name.replace("/", "."): value for name, value in pairs}


def test_they_are_seen_inside_and_only_there(host: Host) -> None:
    before = on_host()
    usual = seen(host.shell(SHOW)[1])
    neighbour = host.start("/bin/sh", "-c", f"read line; {SHOW}", stdin=True)
    same_app = host.start("/bin/sh", "-c", f"read line; {SHOW}", stdin=True)
    container = host.start("/bin/sh", "-c", SHOW, sysctls=WISHES)
    ended, output = host.finish(container)
    assert ended.code == 0, output
    assert {name: seen(output)[name] for name in WISHES} == WISHES
    assert {name: value for name, value in seen(output).items() if name not in WISHES} == {
        name: value for name, value in usual.items() if name not in WISHES
    }
    for other in (neighbour, same_app):
        host.engine.attach(other).close()  # the end of its input
        assert seen(host.finish(other)[1]) == usual
        host.engine.delete(other)
    assert on_host() == before
    host.engine.delete(container)
    for _ in range(host.config.pool_size + 2):  # whatever the pool had ready, and what it made since
        assert seen(host.shell(SHOW)[1]) == usual
    assert on_host() == before


def test_every_allowed_sysctl_can_be_set_on_this_kernel(host: Host) -> None:
    lowest = {name: " ".join(str(low) for low, _ in sysctl.bounds) for name, sysctl in SYSCTLS.items()}
    highest = {name: " ".join(str(high) for _, high in sysctl.bounds) for name, sysctl in SYSCTLS.items()}
    for values in (lowest, highest):
        ended, output = host.shell(SHOW, sysctls=values)
        assert ended.code == 0, output
        assert seen(output) == values


def test_an_app_without_network_has_them_too(host: Host) -> None:
    wishes = dict(WISHES)
    show = "test -e /proc/sys/net/core/somaxconn"
    if subprocess.run(
        ["unshare", "--map-root-user", "--net", "--mount-proc", "--pid", "--fork", "sh", "-c", show]
    ).returncode:
        # Linux 6.1 keeps it from network namespaces that a user namespace made: told in words.
        with pytest.raises(EngineError, match="has none per container"):
            host.shell(SHOW, sysctls=wishes, network=NetworkMode.NONE)
        del wishes["net.core.somaxconn"]
    _, output = host.shell(f"exec 2>/dev/null; {SHOW}", sysctls=wishes, network=NetworkMode.NONE)
    assert {name: seen(output)[name] for name in wishes} == wishes


def test_without_a_user_namespace(open_host: Callable[..., Host]) -> None:
    plain = open_host(user_namespaces=False)
    groups = {"net.ipv4.ping_group_range": "1000 1000"}
    _, output = plain.shell(SHOW, sysctls=WISHES | groups)
    assert {name: seen(output)[name] for name in WISHES | groups} == WISHES | groups


def test_the_container_cannot_change_them(host: Host) -> None:
    _, output = host.shell(
        "cd /proc/sys; for f in net/core/somaxconn kernel/shmmax; do (echo 9 >$f) 2>/dev/null || echo no; done",
        sysctls=WISHES,
    )
    assert output == "no\nno\n"


def test_a_listener_gets_the_backlog(host: Host) -> None:
    script = (
        "import socket, time\n"
        "server = socket.create_server(('127.0.0.1', 8080), backlog=65535)\n"
        "clients = []\n"
        "for _ in range(50):\n"
        "    one = socket.socket(); one.settimeout(0.3)\n"
        "    try: one.connect(('127.0.0.1', 8080))\n"
        "    except OSError: break\n"
        "    clients.append(one)\n"
        "print(len(clients))"
    )
    _, few = host.python(script, sysctls={"net.core.somaxconn": "5", "net.ipv4.tcp_syncookies": "0"})
    _, many = host.python(script, sysctls={"net.core.somaxconn": "4096"})
    assert int(few) < 15
    assert int(many) == 50


@pytest.mark.parametrize("name", ["kernel.core_pattern", "net.ipv4.ip_forward", "vm.overcommit_memory"])
def test_what_is_not_allowed_makes_no_container(host: Host, name: str) -> None:
    before = _file(name).read_text()
    with pytest.raises(EngineError, match=name):
        host.engine.create(host.spec("/bin/true", sysctls={name: "1"}))
    assert _file(name).read_text() == before
    assert host.engine.list() == ()


def test_a_sysctl_that_this_kernel_lacks_is_named_and_nothing_is_left(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = SYSCTLS | {"net.ipv4.tcp_of_the_future": SYSCTLS["net.core.somaxconn"]}
    monkeypatch.setattr("runtime.kernel.SYSCTLS", unknown)
    spec = host.spec("/bin/true", sysctls={"net.ipv4.tcp_of_the_future": "1"})
    with pytest.raises(
        EngineError, match=r"net\.ipv4\.tcp_of_the_future cannot be set: the kernel of this host"
    ):
        host.engine.create(spec)
    assert host.engine.list() == ()
    assert not (host.config.home / "containers" / spec.id).exists()
    assert host.shell("echo fine")[1] == "fine\n"


def test_a_value_that_the_kernel_refuses_is_named(host: Host) -> None:
    running = host.start("/bin/sleep", "60")
    (observed,) = host.engine.list()
    with pytest.raises(EngineError, match=r"does not take '0' for the sysctl fs\.mqueue\.msg_max"):
        sysctls.apply(observed.pid, {"fs.mqueue.msg_max": "0"}, _root_of(observed.pid))
    with pytest.raises(
        EngineError, match=r"does not take '0 0' for the sysctl net\.ipv4\.ip_local_port_range"
    ):
        sysctls.apply(observed.pid, {"net.ipv4.ip_local_port_range": "0 0"}, _root_of(observed.pid))
    host.engine.delete(running)


def _root_of(pid: int) -> int:
    """The user outside that is root inside."""
    return int(Path(f"/proc/{pid}/uid_map").read_text().split()[1])


def test_ulimits_are_seen_by_the_app_and_by_what_is_run_in_it(host: Host) -> None:
    ceiling = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    script = (
        "import resource as r\n"
        "for n in ('NOFILE', 'NPROC', 'CORE', 'STACK', 'MEMLOCK', 'MSGQUEUE'):\n"
        "    print(n, *r.getrlimit(getattr(r, 'RLIMIT_' + n)))\n"
    )
    wishes = {"nofile": (1000, 2000), "nproc": (40, 50), "core": (0, 4096), "stack": (2**20, 2**21)}
    ended, output = host.python(script, ulimits=wishes | {"msgqueue": (8192, 8192)})
    assert ended.code == 0, output
    lines = output.splitlines()
    assert lines[:4] == ["NOFILE 1000 2000", "NPROC 40 50", "CORE 0 4096", "STACK 1048576 2097152"]
    assert lines[5] == "MSGQUEUE 8192 8192"
    usual = host.python(script)[1].splitlines()
    assert usual[0] == "NOFILE {0} {0}".format(min(16384, ceiling if ceiling >= 0 else 16384))
    assert usual[2] == "CORE 0 0"

    container = host.start("/bin/sleep", "60", ulimits=wishes)
    execution = host.engine.execute(container, ExecSpec(argv=("/bin/sh", "-c", "ulimit -n; ulimit -Hn")))
    try:
        assert execution.wait(20) == 0
        with open(execution.stdout, closefd=False) as stream:
            assert stream.read() == "1000\n2000\n"
    finally:
        execution.end()
        host.engine.delete(container)


@pytest.mark.parametrize("end", ["lowest", "highest"])
def test_a_container_starts_with_every_limit_that_can_be_wished_for(host: Host, end: str) -> None:
    wishes = {name: (getattr(known, end),) * 2 for name, known in ULIMITS.items()}
    ended, output = host.python("import threading, socket; print('fine')", ulimits=wishes)
    assert (ended.code, output) == (0, "fine\n")


def test_a_ulimit_above_the_hosts_is_cut_and_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    ceilings = {"nofile": 3000, "stack": -1, "core": -1, "memlock": 65536, "nproc": -1, "msgqueue": -1}
    monkeypatch.setattr("runtime.container.ulimits.own_ceilings", lambda: ceilings)
    spec = host.spec("/bin/sh", "-c", "ulimit -Hn", ulimits={"nofile": (1000, 4000), "nproc": (50, 50)})
    created = host.engine.create(spec)
    assert created.notes == ("The ulimit nofile is 3000 instead of 4000: this host allows its agent no more",)
    host.engine.start(spec.id)
    assert host.finish(spec.id)[1] == "3000\n"
    host.engine.delete(spec.id)


def test_the_number_of_open_files_holds(host: Host) -> None:
    script = (
        "import os\nfds = []\ntry:\n    while True: fds.append(os.dup(0))\n"
        "except OSError as error: print(len(fds) < 100, error.strerror)"
    )
    _, output = host.python(script, ulimits={"nofile": (100, 100)})
    assert output == "True Too many open files\n"
