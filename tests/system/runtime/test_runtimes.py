"""Other OCI runtimes: runc in place of crun with the same results, and one chosen per container beside the default."""

from __future__ import annotations

import errno
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.container import seccomp
from runtime.container.port import EngineError
from runtime.model import ExecSpec, ExitReason, Limits
from tests.system.runtime.conftest import Host, make_config, traces

pytestmark = pytest.mark.system

MIB = 1024**2
OUTER = '#!/bin/sh\n# A runtime of another name, as a sandbox would be.\nexec /usr/bin/crun "$@"\n'
CALL = """
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for number in map(int, sys.argv[1:]):
    result = libc.syscall(ctypes.c_long(number), 0, 0, 0, 0, 0)
    print("ok" if result >= 0 else errno.errorcode[ctypes.get_errno()])
"""
MOUNT, KEYCTL, GETPID, UNLISTED = 165, 250, 39, 999  # x86_64


@pytest.fixture(scope="module")
def host(open_host: Callable[..., Host], tmp_path_factory: pytest.TempPathFactory) -> Host:
    """The default is crun; also there: runc, a wrapper script, one that is not installed, two seccomp profiles."""
    folder = tmp_path_factory.mktemp("runtimes")
    wrapper = folder / "guarded"
    wrapper.write_text(OUTER)
    wrapper.chmod(0o755)
    others = {
        "runc": "/usr/sbin/runc",
        "guarded": str(wrapper),
        "runsc": "/opt/no/runsc",
        "kata": str(wrapper),
    }
    return open_host(runtimes=tuple(others.items()), seccomp_dir=_profiles(folder / "seccomp"))


def _profiles(folder: Path) -> Path:
    folder.mkdir(mode=0o755)
    allowed, refused, *others = seccomp.describe()["syscalls"]
    refused = refused | {"names": [name for name in refused["names"] if name != "keyctl"]}
    keys = {"names": ["keyctl"], "action": "SCMP_ACT_ALLOW"}
    document = seccomp.describe() | {"syscalls": [allowed, refused, keys, *others]}
    (folder / "keys.json").write_text(json.dumps(document))
    (folder / "broken.json").write_text('{"defaultAction": "SCMP_ACT_NOTIFY"}')
    return folder


@pytest.mark.parametrize("runtime", ["runc", "guarded"])
def test_limits_exits_and_exec_are_the_same(host: Host, runtime: str) -> None:
    ended, output = host.shell("id -u; ulimit -n; exit 3", runtime=runtime, ulimits={"nofile": (99, 99)})
    assert (ended.reason, ended.code, output) == (ExitReason.EXITED, 3, "1000\n99\n")
    assert host.run("no-such-program", runtime=runtime)[0].reason is ExitReason.NOT_FOUND
    assert host.run("/etc/passwd", runtime=runtime)[0].reason is ExitReason.NOT_EXECUTABLE
    limits = Limits(memory_bytes=64 * MIB, writable_bytes=16 * MIB)
    ended, _ = host.python("x = bytearray(200 * 1024**2)", limits=limits, runtime=runtime)
    assert ended.reason is ExitReason.OOM
    ended, output = host.shell(
        "cat /proc/sys/net/core/somaxconn", runtime=runtime, sysctls={"net.core.somaxconn": "77"}
    )
    assert (ended.code, output) == (0, "77\n")


@pytest.mark.parametrize("runtime", ["runc", "guarded"])
def test_exec_usage_and_signals(host: Host, runtime: str) -> None:
    container = host.start(
        "/bin/sh", "-c", 'trap "exit 9" TERM; while :; do sleep 0.1; done', runtime=runtime
    )
    try:
        execution = host.engine.execute(container, ExecSpec(argv=("/bin/sh", "-c", "id -u; exit 4")))
        try:
            with open(execution.stdout, closefd=False) as stdout:
                assert stdout.read() == "1000\n"
            assert execution.wait(10) == 4
        finally:
            execution.end()
        usage = host.engine.usage(container)
        assert usage is not None
        assert usage.pids >= 2
        host.engine.kill(container, signal.SIGTERM)
        assert host.finish(container)[0].code == 9
    finally:
        host.engine.delete(container)
    assert not list(Path("/sys/fs/cgroup").glob(f"*/paas-{host.config.tag}/{container}"))


def test_what_is_not_there_is_refused_with_the_reason(host: Host) -> None:
    cases = {
        "unknown": "not installed on this host, which has crun, runc, guarded, runsc, kata",
        "runsc": "not an executable file on this host",
    }
    if not Path("/dev/kvm").exists():
        cases["kata"] = "has no /dev/kvm"
    for name, words in cases.items():
        with pytest.raises(EngineError, match=words):
            host.engine.create(host.spec("true", runtime=name))
    assert host.engine.list() == ()
    offered = {one.name: one.problem for one in host.engine.offer().runtimes}
    assert next(iter(offered)) == "crun"
    assert (offered["crun"], offered["runc"], offered["guarded"]) == ("", "", "")
    assert "not an executable file" in offered["runsc"]


def test_denied_calls_answer_eperm_and_a_profile_gives_just_its_calls(host: Host) -> None:
    def answers(**changes: str) -> list[str]:
        words = [str(number) for number in (MOUNT, KEYCTL, GETPID, UNLISTED)]
        return host.run("/usr/bin/python3", "-c", CALL, *words, **changes)[1].split()

    refused = errno.errorcode[errno.EPERM]
    for runtime in ("crun", "runc"):
        assert answers(runtime=runtime) == [refused, refused, "ok", "ENOSYS"]
        mount, keys, pid, unlisted = answers(runtime=runtime, seccomp="keys")
        assert (mount, pid, unlisted) == (refused, "ok", "ENOSYS")
        assert keys != refused  # it reaches the kernel now, which has no session key of that number
    assert host.engine.offer().seccomp == ("broken", "keys")
    with pytest.raises(EngineError, match="'none' is not on this host, which has broken, keys"):
        host.engine.create(host.spec("true", seccomp="none"))
    with pytest.raises(EngineError, match="broken cannot be used: the action 'SCMP_ACT_NOTIFY'"):
        host.engine.create(host.spec("true", seccomp="broken"))


def test_another_agent_with_another_default_adopts_what_runs(open_host: Callable[..., Host]) -> None:
    """Who made a container also ends it: the setting may have changed in between, either way."""
    config = make_config(blocked=())
    first = open_host(config)
    runtimes = {"by-crun": "", "by-runc": "runc"}
    for name, runtime in runtimes.items():
        first.start(
            "/bin/sh", "-c", 'trap "exit 9" TERM; while :; do sleep 0.1; done', id=name, runtime=runtime
        )
    waiting = first.spec("/bin/true", id="waits")
    first.engine.create(waiting)
    first.engine.close(remove=False)
    second = open_host(_with(config, runtime="runc", runtimes=()))
    assert {one.id for one in second.engine.list() if one.running} == {*runtimes, "waits"}
    second.engine.start("waits")
    assert second.finish("waits")[0].code == 0
    for name in runtimes:
        execution = second.engine.execute(name, ExecSpec(argv=("/bin/true",)))
        assert execution.wait(10) == 0
        execution.end()
        second.engine.kill(name, signal.SIGTERM)
        assert second.finish(name)[0].code == 9
    assert second.run("/bin/true")[0].code == 0
    second.engine.close(remove=True)
    assert traces(config) == []
    shutil.rmtree(config.home, ignore_errors=True)


def _with(config, **changes):  # noqa: ANN001, ANN003, ANN202
    from dataclasses import replace

    return replace(config, **changes)
