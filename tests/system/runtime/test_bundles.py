"""A standard OCI bundle runs, supervised like everything else; its hooks run, and those of the operator."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.container.config import EngineConfig
from runtime.container.port import EngineError
from runtime.model import ExecSpec, ExitReason, Limits, NetworkMode, Rootfs
from tests.system.runtime.bundles import fresh, make_bundle
from tests.system.runtime.conftest import Host, collect_orphans, make_config, traces

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[3]
NONE = NetworkMode.NONE
HOOK = """#!/bin/sh
# Writes down stage, OCI status and whether the process is there; fails where it is told to.
state=$(cat)
status=$(printf %s "$state" | sed 's/.*"status" *: *"\\([a-z]*\\)".*/\\1/')
echo "$1 $status" >>{log}
[ "$1" != "$(cat {fail} 2>/dev/null)" ] || {{ echo "not today" >&2; exit 7; }}
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where hooks write: `log`; the stage named in `fail` fails."""
    folder = tmp_path_factory.mktemp("hooks")
    (folder / "hook").write_text(HOOK.format(log=folder / "log", fail=folder / "fail"))
    (folder / "hook").chmod(0o755)
    (folder / "d").mkdir()
    return folder


@pytest.fixture(scope="module")
def host(open_host: Callable[..., Host], folder: Path) -> Host:
    return open_host(hooks_dirs=(folder / "d",))


def run(host: Host, bundle: Path, **changes: Any) -> tuple[Any, str]:
    return host.run(bundle=str(bundle), rootfs=Rootfs(), network=NONE, **changes)


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_the_standard_configuration_runs(host: Host, bundle: Path, runtime: str) -> None:
    script = "cat /etc/motto; id -u; echo $TERM; cat /proc/1/cmdline; touch /x; exit 5"
    ended, output = run(host, fresh(bundle, "sh", "-c", script), runtime=runtime)
    assert (ended.reason, ended.code) == (ExitReason.EXITED, 5)
    lines = output.splitlines()
    assert lines[:3] == ["from the bundle", "0", "xterm"]
    assert lines[3].startswith("sh\0-c\0")  # it is PID 1 itself
    assert "Read-only file system" in output
    ended, output = run(
        host, fresh(bundle, "sh", "-c", "touch /x && ls /", root={"readonly": False}), runtime=runtime
    )
    assert (ended.code, output.split()) == (
        0,
        ["bin", "dev", "etc", *_links(bundle), "proc", "sys", "tmp", "x"],
    )
    assert not (bundle / "rootfs" / "x").exists()  # the bundle itself is not written to


def _links(bundle: Path) -> list[str]:
    return sorted(path.name for path in (bundle / "rootfs").glob("lib*"))


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_what_counts_and_what_is_kept_within_bounds(host: Host, bundle: Path, runtime: str) -> None:
    (bundle / "data").mkdir(exist_ok=True)
    (bundle / "data" / "file").write_text("bound\n")
    process = {
        "user": {"uid": 7, "gid": 8, "additionalGids": [9]},
        "env": ["A=b"],
        "cwd": "/tmp",
        "noNewPrivileges": False,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}],
    }
    standard = json.loads((fresh(bundle) / "config.json").read_text())
    mounts = [
        *standard["mounts"],
        {"destination": "/data", "type": "bind", "source": "data", "options": ["bind", "ro"]},
        {"destination": "/scratch", "type": "tmpfs", "source": "tmpfs"},
    ]
    script = "id -u; id -G; echo $A $PWD; ulimit -n; cat /data/file; touch /scratch/x && echo scratch"
    script += (
        "; grep -E 'NoNewPrivs|Seccomp:|CapEff' /proc/self/status; cat /proc/self/uid_map; ls /sys/fs/cgroup"
    )
    config = fresh(
        bundle,
        *("/bin/sh", "-c", script),
        process=standard["process"] | process | {"args": ["/bin/sh", "-c", script], "terminal": False},
        mounts=mounts,
        hostname="named",
    )
    ended, output = run(host, config, runtime=runtime)
    assert ended.code == 0, output
    words = output.split()
    assert words[:8] == ["7", "8", "9", "b", "/tmp", "77", "bound", "scratch"]
    assert words[words.index("NoNewPrivs:") + 1] == "1"  # whatever the bundle says
    assert words[words.index("Seccomp:") + 1] == "2"
    assert words[words.index("CapEff:") + 1] == "0000000000000000"
    assert words[-3:] == ["0", "1000000", "65536"]


def test_limits_are_the_lesser_of_both(host: Host, bundle: Path) -> None:
    linux = {"resources": {"memory": {"limit": 2**40}, "pids": {"limit": 3}}}
    standard = json.loads((fresh(bundle) / "config.json").read_text())["linux"]
    config = fresh(bundle, "sh", "-c", "sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait", linux=standard | linux)
    ended, output = run(host, config, limits=Limits(memory_bytes=32 * 2**20))
    assert "fork" in output
    container = host.spec(
        bundle=str(config), rootfs=Rootfs(), network=NONE, limits=Limits(memory_bytes=32 * 2**20)
    )
    host.engine.create(container)
    config = host.engine._layout.bundle(container.id) / "config.json"
    written = json.loads(host.engine._mounts.call(config.read_text))
    assert written["linux"]["resources"]["memory"]["limit"] == 32 * 2**20
    assert written["linux"]["resources"]["devices"] == [{"allow": False, "access": "rwm"}]
    host.engine.delete(container.id)


def test_every_step_is_allowed_only_in_its_state(host: Host, bundle: Path) -> None:
    """created, running, stopped, gone: what each allows, as the runtime itself and as the engine sees it."""
    script = "echo ran; trap 'exit 9' TERM; while true; do sleep 0.1; done"
    spec = host.spec(
        id="each-step", bundle=str(fresh(bundle, "sh", "-c", script)), rootfs=Rootfs(), network=NONE
    )
    host.engine.create(spec)
    assert _state(host, spec.id) == "created"
    assert host.output(spec.id) == ""  # all is set up, and the program has not run
    with pytest.raises(EngineError, match="does not run"):
        host.engine.execute(spec.id, ExecSpec(argv=("/bin/true",)))
    host.engine.start(spec.id)
    assert _state(host, spec.id) == "running"
    refused = _runtime(host, "start", spec.id)
    assert refused.returncode != 0
    with pytest.raises(EngineError, match="still runs"):
        host.engine.export(spec.id, "/tmp", host.config.home / "x")
    assert _runtime(host, "delete", spec.id).returncode != 0  # of what runs only with force
    host.engine.kill(spec.id, signal.SIGTERM)
    ended, output = host.finish(spec.id)
    assert (ended.code, output) == (9, "ran\n")
    assert _state(host, spec.id) == "stopped"
    host.engine.start(spec.id)  # a no-op: it does not run again
    assert host.output(spec.id) == "ran\n"
    with pytest.raises(EngineError, match="does not run"):
        host.engine.execute(spec.id, ExecSpec(argv=("/bin/true",)))
    host.engine.delete(spec.id)
    assert _state(host, spec.id) == ""
    with pytest.raises(EngineError, match="does not exist"):
        host.engine.start(spec.id)
    assert not [trace for trace in traces(host.config) if spec.id in trace]


def _runtime(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["crun", "--root", str(host.engine._layout.state), *words]
    return host.engine._mounts.call(subprocess.run, command, capture_output=True, text=True, check=False)


def _state(host: Host, container: str) -> str:
    told = _runtime(host, "state", container)
    return json.loads(told.stdout)["status"] if told.returncode == 0 else ""


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_hooks_run_in_order_and_poststop_at_the_end(
    host: Host, bundle: Path, folder: Path, runtime: str
) -> None:
    def hook(stage: str) -> list[dict[str, object]]:
        return [{"path": str(folder / "hook"), "args": ["hook", stage], "env": ["PATH=/usr/bin:/bin"]}]

    hooks = {stage: hook(stage) for stage in ("prestart", "createRuntime", "poststart", "poststop")}
    inside = [{"path": "/bin/touch", "args": ["touch", "/started"]}]
    config = fresh(
        bundle,
        "sh",
        "-c",
        "ls /started; sleep 600",
        root={"readonly": False},
        hooks=hooks | {"startContainer": inside},
    )
    (folder / "log").write_text("")
    spec = host.spec(bundle=str(config), rootfs=Rootfs(), network=NONE, runtime=runtime)
    host.engine.create(spec)
    log = folder / "log"
    assert log.read_text().split()[::2] == ["prestart", "createRuntime"]
    host.engine.start(spec.id)
    host.engine.start(spec.id)
    assert log.read_text().split()[4:] == ["poststart", "running"]
    deadline = time.monotonic() + 20
    while host.output(spec.id) != "/started\n":
        assert time.monotonic() < deadline, host.output(spec.id)
        time.sleep(0.02)
    host.engine.kill(spec.id, signal.SIGKILL)
    assert host.finish(spec.id)[0].signal == signal.SIGKILL
    host.engine.delete(spec.id)
    assert log.read_text().split()[6:] == ["poststop", "stopped"]


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_failing_prestart_stops_the_start_and_poststop_runs(
    host: Host, bundle: Path, folder: Path, runtime: str
) -> None:
    _configure(folder, "prestart", "poststop")
    (folder / "log").write_text("")
    (folder / "fail").write_text("prestart")
    try:
        with pytest.raises(EngineError, match="could not be made: .*hook"):
            host.engine.create(host.spec("true", runtime=runtime))
        assert host.engine.list() == ()
        assert [line.split()[0] for line in (folder / "log").read_text().splitlines()] == [
            "prestart",
            "poststop",
        ]
    finally:
        (folder / "fail").unlink()
        _configure(folder)


def test_hooks_of_the_operator_apply_where_they_say(host: Host, folder: Path) -> None:
    _configure(folder, "poststart", when={"annotations": {"^io.paas.owner$": "^app-7$"}})
    (folder / "log").write_text("")
    assert host.run("true", owner="app-1")[0].code == 0
    assert (folder / "log").read_text() == ""
    assert host.run("true", owner="app-7")[0].code == 0
    assert (folder / "log").read_text().split()[0] == "poststart"
    (folder / "d" / "bad.json").write_text("{}")
    try:
        with pytest.raises(EngineError, match=r"bad\.json cannot be used: its version"):
            host.engine.create(host.spec("true"))
    finally:
        (folder / "d" / "bad.json").unlink()
        _configure(folder)


def _configure(folder: Path, *stages: str, when: dict[str, object] | None = None) -> None:
    for file in (folder / "d").glob("*.json"):
        file.unlink()
    for stage in stages:
        hook = {"path": str(folder / "hook"), "args": ["hook", stage], "env": ["PATH=/usr/bin:/bin"]}
        document = {"version": "1.0.0", "hook": hook, "when": when or {"always": True}, "stages": [stage]}
        (folder / "d" / f"{stage}.json").write_text(json.dumps(document))


AGENT = """
import sys, time
from pathlib import Path
from runtime.container.config import EngineConfig
from runtime.container.engine import CrunEngine
from runtime.model import ContainerSpec, Rootfs
home, tag, subnet, hooks = sys.argv[1:]
engine = CrunEngine(EngineConfig(home=Path(home), tag=tag, subnet=subnet, hooks_dirs=(Path(hooks),)))
engine.open()
for name in ('whole', 'half'):
    engine.create(ContainerSpec(id=name, owner='o', name=name, rootfs=Rootfs(host=True), argv=('/bin/sleep', '600')))
    engine.start(name)
Path(home, 'c/half').unlink()
print('ready', flush=True)
time.sleep(60)
"""


def test_poststop_runs_after_the_agent_was_killed(open_host: Callable[..., Host], folder: Path) -> None:
    config: EngineConfig = make_config(blocked=(), hooks_dirs=(folder / "d",))
    _configure(folder, "poststop")
    (folder / "log").write_text("")
    words = [str(config.home), config.tag, config.subnet, str(folder / "d")]
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, *words], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert agent.stdout is not None
    assert agent.stdout.readline() == "ready\n"
    agent.kill()
    agent.communicate()
    host = open_host(config)  # removes the half made one
    assert (folder / "log").read_text() == "poststop stopped\n"
    host.engine.delete("whole")
    assert (folder / "log").read_text() == "poststop stopped\n" * 2
    host.engine.close(remove=True)
    collect_orphans()
    _configure(folder)


def test_a_bundle_that_others_can_change_is_refused(host: Host, bundle: Path) -> None:
    fresh(bundle, "true")
    os.chmod(bundle / "config.json", 0o666)
    try:
        with pytest.raises(EngineError, match=r"can be changed by others than root"):
            host.engine.create(host.spec(bundle=str(bundle), rootfs=Rootfs(), network=NONE))
    finally:
        os.chmod(bundle / "config.json", 0o644)
    with pytest.raises(EngineError, match="is no OCI bundle"):
        host.engine.create(host.spec(bundle=str(bundle / "rootfs"), rootfs=Rootfs(), network=NONE))
    assert host.engine.list() == ()
