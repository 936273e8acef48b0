"""Crashes and outages: the agent killed, the controller gone, everything stopped."""

from __future__ import annotations

import os
import signal
import time
import urllib.request

import pytest
from agent_on_processes import (
    AGENT_TOKEN,
    Agent,
    container,
    eventually,
    in_state,
    status_of,
    web,
    worker,
)
from fake_controller import FakeController
from process_engine import ProcessEngine

from runtime.client import AgentClient, AgentRefused, AgentUnavailable
from runtime.model import InstanceState, JobSpec, WantedState
from tests.ports import free_port

pytestmark = pytest.mark.integration


def test_after_kill_9_it_adopts_what_runs_with_the_controller_down(
    agent: Agent, controller: FakeController
) -> None:
    port = free_port()
    with agent.start() as client:
        client.put_wanted(WantedState(generation=1, instances=(web("i1", port), worker("i2", "sleep 60"))))
        in_state(client, "i1", InstanceState.UP)
        in_state(client, "i2", InstanceState.UP)
        pids = {one.id: one.pid for one in ProcessEngine(agent.home).list()}
        time.sleep(0.1)  # longer than the agent takes to store a state
        agent.end(signal.SIGKILL)
    controller.stop()
    os.killpg(pids["i2"], signal.SIGKILL)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as response:
        assert response.status == 200
    with agent.start() as client:
        first = status_of(client, "i1")
        assert (first.state, first.restarts) == (InstanceState.UP, 0)  # never anything but up
        second = in_state(client, "i2", InstanceState.UP)
        assert (second.restarts, second.last_exit.code) == (1, 137)
        now = {one.id: one.pid for one in ProcessEngine(agent.home).list()}
        assert now["i1"] == pids["i1"] and now["i2"] != pids["i2"]


def test_sigterm_leaves_instances_running(agent: Agent) -> None:
    port = free_port()
    with agent.start() as client:
        client.put_wanted(WantedState(generation=1, instances=(web("i1", port),)))
        in_state(client, "i1", InstanceState.UP)
    agent.end(signal.SIGTERM)
    assert agent.process.returncode == 0
    assert [one.running for one in ProcessEngine(agent.home).list()] == [True]


def test_an_instance_dropped_while_the_agent_was_down_is_stopped(
    agent: Agent, controller: FakeController
) -> None:
    with agent.start() as client:
        client.put_wanted(WantedState(generation=1, instances=(worker("i1", "sleep 60"),)))
        in_state(client, "i1", InstanceState.UP)
        agent.end(signal.SIGKILL)
    (agent.home / "agent" / "wanted.json").write_bytes(b'{"generation":2,"instances":[]}')
    with agent.start() as client:
        in_state(client, "i1", InstanceState.STOPPED)
        assert ProcessEngine(agent.home).list() == ()


def test_a_damaged_state_file_does_not_stop_the_agent(agent: Agent) -> None:
    (agent.home / "agent").mkdir()
    (agent.home / "agent" / "instances.json").write_bytes(b'{"insta')
    with agent.start() as client:
        client.put_wanted(WantedState(generation=1, instances=(worker("i1", "sleep 60"),)))
        in_state(client, "i1", InstanceState.UP)


def test_reports_and_lines_catch_up_after_an_outage(agent: Agent, controller: FakeController) -> None:
    command = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.05; done"
    with agent.start() as client:
        client.put_wanted(WantedState(generation=1, instances=(worker("i1", command),)))
        eventually(lambda: "line 3" in controller.texts("i1"))
        controller.stop()
        time.sleep(0.5)
        agent.end(signal.SIGKILL)
    with agent.start() as client:
        time.sleep(0.3)
        before = len(controller.reports)
        controller.start()
        eventually(lambda: len(controller.reports) > before and "line 20" in controller.texts("i1"))
    lines = {line.cursor: line.text for line in controller.lines("i1") if line.stream == "stdout"}
    numbers = [int(text.split()[1]) for _, text in sorted(lines.items())]
    assert numbers == list(range(1, len(numbers) + 1))  # none missing; the cursor tells repeated ones


def test_a_silent_controller_does_not_hold_up_instances(agent: Agent) -> None:
    import socket

    with socket.socket() as silent:  # accepts and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        agent.controller = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with agent.start() as client:
            client.put_wanted(
                WantedState(generation=1, instances=(worker("i1", "yes | head -100000; sleep 60"),))
            )
            in_state(client, "i1", InstanceState.UP)
            client.put_wanted(WantedState(generation=2))
            in_state(client, "i1", InstanceState.STOPPED)


def test_stop_ends_everything_and_the_process(agent: Agent) -> None:
    with agent.start() as client:
        stubborn = worker("i2", "trap '' TERM; while :; do sleep 0.05; done")
        client.put_wanted(WantedState(generation=1, instances=(worker("i1", "sleep 60"), stubborn)))
        client.put_job(JobSpec(container=container("j1", "sleep 60")))
        in_state(client, "i1", InstanceState.UP)
        in_state(client, "i2", InstanceState.UP)
        began = time.monotonic()
        client.stop()
        assert agent.process.wait(5) == 0
        assert time.monotonic() - began < 10
        assert ProcessEngine(agent.home).list() == ()
    with pytest.raises(AgentUnavailable, match="doctor"):
        client.health()


def test_a_wrong_token_is_refused(agent: Agent) -> None:
    with agent.start() as client:
        with AgentClient(client._base, AGENT_TOKEN + "x") as stranger:
            with pytest.raises(AgentRefused) as refused:
                stranger.report()
        assert (refused.value.status, refused.value.id) == (401, "unauthorized")


def test_two_agents_do_not_share_a_home(agent: Agent) -> None:
    with agent.start():
        other = Agent(agent.home, agent.controller)
        first, agent.process = agent.process, None
        try:
            with pytest.raises(AssertionError, match="already uses"):
                other.start()
        finally:
            agent.process = first


def test_a_log_flood_is_bounded_and_its_loss_counted(agent: Agent, controller: FakeController) -> None:
    with agent.start() as client:
        # 300,000 lines of 100 bytes: 40 MB as conmon writes them, twice what is kept.
        command = "yes $(printf %0100d 7) | head -300000; sleep 1; echo finished; sleep 60"
        client.put_wanted(WantedState(generation=1, instances=(worker("i1", command),)))
        eventually(lambda: "finished" in controller.texts("i1"), 30)
        lost = sum(batch.lost for batch in controller.batches)
        kept = sum(line.stream == "stdout" for line in controller.lines("i1"))
        assert any("lines lost" in text for text in controller.texts("i1"))
        assert 300_001 <= kept + lost <= 300_004  # some of the agent's own lines may be lost too
        size = sum(file.stat().st_size for file in (agent.home / "logs").iterdir())
        assert size < 32 * 1024**2


def test_metrics_count_instances_by_state(agent: Agent) -> None:
    with agent.start() as client:
        client.put_wanted(WantedState(generation=1, instances=(worker("i1", "sleep 60"),)))
        in_state(client, "i1", InstanceState.UP)
        text = client._ask("GET", "/metrics").decode()
        assert 'paas_instances{state="up"} 1\n' in text
        assert 'paas_container_memory_bytes{container="i1",owner="app1",name="web.1"} 1024\n' in text
        assert client.usage("i1").memory_limit_bytes == 2048
