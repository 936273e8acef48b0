"""What an operator does on the host itself: look into containers, change limits, hold, restart, run by hand."""

from __future__ import annotations

import signal
from pathlib import Path

import msgspec
import pytest
from agent_on_processes import Agent, container, eventually, in_state, status_of, worker
from fake_controller import FakeController
from process_engine import ProcessEngine

from runtime.client import AgentClient, AgentRefused
from runtime.model import (
    ExitReason,
    InstanceSpec,
    InstanceState,
    JobSpec,
    JobState,
    Limits,
    LimitsChange,
    WantedState,
)

pytestmark = pytest.mark.integration
MIB = 1024**2


def in_force(home: Path, id: str) -> Limits | None:
    file = ProcessEngine(home).places / id / "limits.json"
    return msgspec.json.decode(file.read_bytes(), type=Limits) if file.exists() else None


def limited(spec: InstanceSpec, memory: int) -> InstanceSpec:
    container = msgspec.structs.replace(spec.container, limits=Limits(memory_bytes=memory * MIB))
    return msgspec.structs.replace(spec, container=container)


def memory_of(client: AgentClient, id: str) -> int:
    limits = status_of(client, id).limits
    return limits.memory_bytes // MIB if limits else 0


def test_other_limits_under_a_known_id_count_at_once_and_for_every_later_run(agent: Agent) -> None:
    spec = worker("i1", "exec sleep 60")
    with agent.start() as client:
        client.put_wanted(WantedState(generation=1, instances=(limited(spec, 64),)))
        first = in_state(client, "i1", InstanceState.UP)
        client.put_wanted(WantedState(generation=2, instances=(limited(spec, 128),)))
        eventually(lambda: memory_of(client, "i1") == 128)
        now = status_of(client, "i1")
        assert (now.state, now.started_at, now.restarts) == (InstanceState.UP, first.started_at, 0)
        assert in_force(agent.home, "i1").memory_bytes == 128 * MIB

        client.put_wanted(WantedState(generation=3, instances=(limited(spec, 4),)))
        eventually(lambda: "uses more memory" in status_of(client, "i1").limits_problem)
        assert memory_of(client, "i1") == 128

        client.put_wanted(WantedState(generation=4, instances=(limited(spec, 256),)))
        eventually(lambda: memory_of(client, "i1") == 256)
        assert status_of(client, "i1").limits_problem == ""
        kinds = [event.kind for event in client.events().events if event.container == "i1"]
        assert kinds == ["created", "started", "up", "updated", "updated"]


def test_limits_that_changed_while_no_agent_ran_count_when_one_does(agent: Agent) -> None:
    spec = worker("i1", "exec sleep 60")
    with agent.start() as client:
        client.put_wanted(WantedState(generation=1, instances=(limited(spec, 64),)))
        in_state(client, "i1", InstanceState.UP)
        client.change_limits("i1", LimitsChange(memory_bytes=96 * MIB))
        assert memory_of(client, "i1") == 96
        agent.end(signal.SIGKILL)
    with agent.start() as client:
        assert memory_of(client, "i1") == 96
        assert client.report().generation == 1
        client.put_wanted(WantedState(generation=2, instances=(limited(spec, 80),)))
        eventually(lambda: memory_of(client, "i1") == 80)
        with pytest.raises(AgentRefused, match="uses more memory") as refused:
            client.change_limits("i1", LimitsChange(memory_bytes=4 * MIB))
        assert refused.value.status == 409
        with pytest.raises(AgentRefused, match="no container none"):
            client.change_limits("none", LimitsChange(pids=5))


def test_an_ended_run_can_be_looked_into_and_holds_no_secret(
    agent: Agent, controller: FakeController
) -> None:
    lines = "for n in $(seq 1 30); do echo line $n; done; exit 3"
    spec = InstanceSpec(
        container=container("i1", lines, env={"SECRET": "hunter2", "PATH": "/usr/bin:/bin"}),
        health=worker("x", "").health,
    )
    with agent.start() as client:
        client.put_wanted(WantedState(generation=1, instances=(spec,)))
        eventually(lambda: len(client.inspect("i1").runs) == 2)
        found = client.inspect("i1")
        second, first = found.runs
        assert (first.run, second.run, found.state) == (1, 2, InstanceState.CRASHED)
        assert (first.exit.reason, first.exit.code) == (ExitReason.EXITED, 3)
        assert first.exit.head == tuple(f"line {n}" for n in range(1, 11))
        assert first.exit.tail == tuple(f"line {n}" for n in range(21, 31))
        assert found.config.env == ("PATH", "SECRET")
        assert b"hunter2" not in msgspec.json.encode(found)
        client.put_wanted(WantedState(generation=2))
        client.put_wanted(WantedState(generation=3))
        eventually(lambda: status_of(client, "i1") is None)
        assert ProcessEngine(agent.home).list() == ()
        agent.end(signal.SIGKILL)
    with agent.start() as client:
        gone = client.inspect("i1")
        assert (gone.state, len(gone.runs), gone.config.argv) == ("gone", 2, spec.container.argv)
        stored = "".join(file.read_text() for file in (agent.home / "agent" / "ended").iterdir())
        assert "hunter2" not in stored
        with pytest.raises(AgentRefused, match="no container none"):
            client.inspect("none")


def test_an_instance_by_hand_needs_no_controller_and_survives_the_agent(agent: Agent) -> None:
    with agent.start() as client:
        client.put_instance(worker("mine", "exec sleep 60"))
        client.put_wanted(WantedState(generation=1, instances=(worker("theirs", "exec sleep 60"),)))
        for id in ("mine", "theirs"):
            in_state(client, id, InstanceState.UP)
        assert (client.inspect("mine").local, client.inspect("theirs").local) == (True, False)
        agent.end(signal.SIGKILL)
    with agent.start() as client:
        assert in_state(client, "mine", InstanceState.UP).restarts == 0
        client.put_wanted(WantedState(generation=2))
        eventually(lambda: client.inspect("theirs").state in ("stopped", "gone"))
        assert status_of(client, "mine").state is InstanceState.UP
        client.remove_instance("mine")
        eventually(lambda: client.inspect("mine").state in ("stopped", "gone"))
        with pytest.raises(AgentRefused, match="started by hand"):
            client.remove_instance("theirs")


def test_one_held_stays_down_until_it_is_started_by_hand(agent: Agent) -> None:
    wanted = WantedState(generation=1, instances=(worker("i1", "exec sleep 60"),))
    with agent.start() as client:
        client.put_wanted(wanted)
        first = in_state(client, "i1", InstanceState.UP)
        client.stop_container("i1")
        eventually(lambda: client.inspect("i1").state in ("stopped", "gone"))
        assert client.inspect("i1").held
        client.put_wanted(msgspec.structs.replace(wanted, generation=2))
        agent.end(signal.SIGKILL)
    with agent.start() as client:
        assert client.inspect("i1").held
        assert ProcessEngine(agent.home).list() == ()
        client.start_container("i1")
        second = in_state(client, "i1", InstanceState.UP)
        assert second.started_at > first.started_at
        client.restart_container("i1")
        eventually(lambda: (one := status_of(client, "i1")) and one.started_at != second.started_at)
        in_state(client, "i1", InstanceState.UP)


def test_a_signal_by_hand_and_a_job_cancelled_by_hand(agent: Agent) -> None:
    with agent.start() as client:
        script = "trap 'exit 9' USR1; echo listens; while :; do sleep 0.05; done"
        client.put_job(JobSpec(container=container("j1", script)))
        eventually(lambda: any(line.text == "listens" for line in client.logs("j1", follow=False)))
        client.change_limits("j1", LimitsChange(memory_bytes=64 * MIB, cpu_cores=0.5))
        assert in_force(agent.home, "j1") == Limits(memory_bytes=64 * MIB, cpu_cores=0.5)
        client.signal("j1", signal.SIGUSR1)
        assert client.job("j1", wait=10).exit.code == 9
        assert client.inspect("j1").runs[0].exit.code == 9
        client.put_job(JobSpec(container=container("j2", "exec sleep 60")))
        eventually(lambda: client.job("j2").state is JobState.RUNNING)
        client.stop_container("j2")
        assert client.job("j2", wait=10).exit.reason is ExitReason.CANCELLED
