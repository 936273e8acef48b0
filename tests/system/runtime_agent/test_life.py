"""How runs end and are kept alive, told apart by a real agent over real containers: exit reasons, health, remains."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "integration" / "runtime"))
sys.path.insert(0, str(Path(__file__).parent))

from agent_on_processes import eventually, in_state, status_of
from fake_controller import FakeController
from test_agent_real import RealAgent, agent, container, controller, web  # noqa: F401

from runtime.model import (
    EventKind,
    ExitInfo,
    ExitReason,
    HealthCheck,
    HealthKind,
    InstanceSpec,
    InstanceState,
    Limits,
    WantedState,
)
from tests.system.runtime.records import after_a_reboot, record_of

pytestmark = pytest.mark.system
MIB = 1024**2
STEADY = HealthCheck(kind=HealthKind.STEADY, steady_seconds=0.2)


def steady(id: str, *argv: str, **fields: object) -> InstanceSpec:
    return InstanceSpec(container=container(id, *argv, name=f"{id}.1", **fields), health=STEADY)


ENDS = {
    "fails": ("/bin/sh", "-c", "echo first; echo last >&2; exit 3"),
    "missing": ("/no/such/program",),
    "closed": ("/etc/hostname",),
    "eats": ("/usr/bin/python3", "-c", "x = bytearray(200 * 1024 * 1024)"),
    "dies": ("/bin/sh", "-c", "kill -SEGV $$"),
    "broken": ("/bin/true",),
}


def test_every_way_to_end_has_its_own_reason_words_and_event(
    agent: RealAgent,  # noqa: F811
    controller: FakeController,  # noqa: F811
) -> None:
    client = agent.start()
    limits = Limits(memory_bytes=64 * MIB)
    specs = [steady(id, *argv, limits=limits) for id, argv in ENDS.items() if id != "broken"]
    specs.append(steady("broken", "/bin/true", env={"A=B": "no name"}))
    specs.append(steady("lost", "/bin/sleep", "600"))
    client.put_wanted(WantedState(generation=1, instances=tuple(specs)))
    in_state(client, "lost", InstanceState.UP, 30)
    os.kill(record_of(agent.home, "lost").conmon_pid, signal.SIGKILL)

    def ends() -> dict[str, ExitInfo]:
        found = {one.id: one.last_exit for one in client.report().instances if one.last_exit}
        return found if len(found) == len(specs) else {}

    exits = eventually(ends, 60)
    told = {id: (str(exit.reason), exit.code) for id, exit in exits.items()}
    assert told == {
        "fails": ("exited", 3),
        "missing": ("not_found", 127),
        "closed": ("not_executable", 126),
        "eats": ("oom", 137),
        "dies": ("signaled", 139),
        "broken": ("not_started", 125),
        "lost": ("lost", None),
    }
    assert exits["fails"].tail == ("first", "last")
    assert exits["dies"].signal == signal.SIGSEGV
    words = {
        "fails": "Process exited with status 3",
        "missing": "Process exited with status 127: command not found",
        "closed": "Process exited with status 126: not executable",
        "eats": "Error R15 (Memory quota vastly exceeded) -> Process killed: it needed more than its 64 MB",
        "dies": "Process exited with status 139",
        "broken": "Process could not be started: ",
        "lost": "Process ended; its exit status is unknown because its supervisor died",
    }
    for id, text in words.items():
        eventually(lambda id=id, text=text: any(line.startswith(text) for line in controller.texts(id)), 20)
    events = {(event.container, event.kind) for event in client.events().events}
    assert ("eats", EventKind.OOM) in events
    assert {(id, EventKind.EXITED) for id in ENDS if id != "eats"} <= events
    listed = agent.command("ps").stdout
    for id, (reason, _) in told.items():
        assert any(line.startswith(id) and reason in line for line in listed.splitlines()), listed


def test_what_has_ended_can_be_inspected_and_holds_nothing_of_the_host(agent: RealAgent) -> None:  # noqa: F811
    client = agent.start()
    burn = "echo hello; x = $((0)); i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo bye; exit 4"
    client.put_wanted(
        WantedState(generation=1, instances=(steady("i1", "/bin/sh", "-c", burn, env={"KEY": "hunter2"}),))
    )
    eventually(lambda: client.inspect("i1").runs, 30)
    client.put_wanted(WantedState(generation=2))
    client.put_wanted(WantedState(generation=3))
    eventually(lambda: status_of(client, "i1") is None, 20)
    found = client.inspect("i1")
    run = found.runs[-1]
    assert (found.state, run.exit.code, run.exit.tail[-1]) == ("gone", 4, "bye")
    assert run.usage is not None
    assert run.usage.cpu_seconds > 0.01
    assert run.usage.memory_peak_bytes > 0
    mounts = Path(f"/proc/{agent.process.pid}/mountinfo").read_text()
    assert "/i1" not in mounts
    assert not list(Path("/sys/fs/cgroup").glob(f"*/paas-{agent.tag}/i1"))
    assert not (agent.home / "c" / "i1").exists()
    shown = agent.command("inspect", "i1").stdout
    assert "exited 4" in shown
    assert "bye" in shown
    assert "hunter2" not in shown


def test_a_command_says_whether_it_is_healthy_and_a_dead_one_is_restarted(agent: RealAgent) -> None:  # noqa: F811
    client = agent.start()
    ready = HealthCheck(
        kind=HealthKind.COMMAND,
        command=("/bin/sh", "-c", "test -e /tmp/ready && echo $$ > /tmp/checked"),
        interval=0.3,
        unhealthy_threshold=2,
    )
    alive = HealthCheck(
        kind=HealthKind.COMMAND,
        command=("/bin/sh", "-c", "test ! -e /tmp/dead || sleep 600"),
        interval=0.3,
        timeout=0.5,
        unhealthy_threshold=1,
        restart_threshold=2,
    )
    sleeper = ("/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
    specs = (
        InstanceSpec(container=container("ready", *sleeper, name="ready.1"), health=ready),
        InstanceSpec(container=container("alive", *sleeper, name="alive.1"), health=alive),
    )
    client.put_wanted(WantedState(generation=1, instances=specs))
    first = in_state(client, "alive", InstanceState.UP, 30)
    assert status_of(client, "ready").state is InstanceState.STARTING
    assert agent.command("exec", "ready", "--", "/bin/touch", "/tmp/ready").returncode == 0
    in_state(client, "ready", InstanceState.UP, 20)
    assert agent.command("exec", "ready", "--", "/bin/rm", "/tmp/ready").returncode == 0
    in_state(client, "ready", InstanceState.UNHEALTHY, 20)  # no traffic, but not restarted
    assert agent.command("exec", "alive", "--", "/bin/touch", "/tmp/dead").returncode == 0
    eventually(lambda: status_of(client, "alive").restarts == 1, 30)
    second = in_state(client, "alive", InstanceState.UP, 30)
    assert second.started_at > first.started_at
    assert second.last_exit.reason is ExitReason.UNHEALTHY
    assert "2 times in a row" in second.last_exit.message
    assert status_of(client, "ready").restarts == 0
    group = Path("/sys/fs/cgroup/pids") / f"paas-{agent.tag}" / "alive" / "pids.current"
    if group.exists():
        eventually(
            lambda: int(group.read_text()) <= 3, 20
        )  # the check that hung was ended with all it started


def test_limits_change_in_a_running_container_and_stay(agent: RealAgent) -> None:  # noqa: F811
    client = agent.start()
    client.put_wanted(WantedState(generation=1, instances=(web("i1"),)))
    first = in_state(client, "i1", InstanceState.UP, 20)
    assert agent.command("update", "i1", "--memory", "64MiB", "--cpus", "0.5").returncode == 0
    assert client.usage("i1").memory_limit_bytes == 64 * MIB
    agent.end(signal.SIGKILL)
    client = agent.start()
    assert client.inspect("i1").limits.cpu_cores == 0.5
    client.signal("i1", signal.SIGKILL)
    eventually(lambda: status_of(client, "i1").restarts == 1, 20)
    again = in_state(client, "i1", InstanceState.UP, 20)
    assert again.started_at > first.started_at
    assert client.usage("i1").memory_limit_bytes == 64 * MIB
    refused = agent.command("update", "i1", "--memory", "1MiB")
    assert refused.returncode == 1
    assert "do not fit in 1 MiB" in refused.stderr


def test_after_a_reboot_of_the_host_everything_wanted_runs_again(agent: RealAgent) -> None:  # noqa: F811
    """Another boot: no process is left, nor a control group, a mount or an interface; the records name the old one."""
    client = agent.start()
    client.put_wanted(WantedState(generation=1, instances=(web("i1"), steady("w1", "/bin/sleep", "600"))))
    for id in ("i1", "w1"):
        in_state(client, id, InstanceState.UP, 20)
    runs = {id: record_of(agent.home, id) for id in ("i1", "w1")}
    agent.end(signal.SIGKILL)
    for record in runs.values():
        os.kill(record.conmon_pid, signal.SIGKILL)
        os.kill(record.pid, signal.SIGKILL)
    after_a_reboot(agent.home, *runs)
    client = agent.start()
    for id in runs:
        again = in_state(client, id, InstanceState.UP, 30)
        assert (again.last_exit.reason, again.restarts) == (ExitReason.LOST, 1), again.last_exit.message
    kinds = [str(event.kind) for event in client.events().events if event.container == "w1"]
    assert kinds == ["created", "started", "up", "exited", "created", "started", "up"]
