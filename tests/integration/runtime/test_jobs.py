"""Jobs: inputs in, output lines, result and slug out, through a real agent process."""

from __future__ import annotations

import signal
import time

import pytest
from agent_on_processes import Agent, container, eventually
from fake_controller import FakeController
from process_engine import ProcessEngine

from runtime.client import AgentRefused, AgentUnavailable
from runtime.model import (
    ExitReason,
    JobInput,
    JobOutput,
    JobSpec,
    JobState,
    NetworkMode,
    Stream,
)

pytestmark = pytest.mark.integration

BUILD = """
echo "-----> Building"
mkdir -p $ROOT/app && cp $INPUT_SOURCE $ROOT/app/source
echo '{"ok": true}' > $ROOT/result.json
"""


def build(id: str = "b1", command: str = BUILD, **fields: object) -> JobSpec:
    return JobSpec(container=container(id, command, network=NetworkMode.BUILD), **fields)


def test_a_build_gives_lines_a_result_and_a_stored_slug(agent: Agent, controller: FakeController) -> None:
    controller.files["/internal/builds/7/source"] = b"print('hello')"
    spec = build(
        inputs=(JobInput(path="/internal/builds/7/source", target="/source"),),
        output=JobOutput(directory="/app"),
        result_path="/result.json",
    )
    with agent.start() as client:
        assert client.put_job(spec).state in (JobState.PENDING, JobState.RUNNING)
        assert client.put_job(spec).id == "b1"  # again: the same job
        lines = list(client.logs("b1"))
        status = client.job("b1", wait=10)

        assert status.state is JobState.SUCCEEDED, status
        assert status.result == '{"ok": true}\n'
        assert controller.files[f"/internal/images/{status.slug.digest}"] == b"source\nprint('hello')"
        assert set(status.timings) == {"fetch", "create", "run", "package", "upload"}
        assert "-----> Building" in [line.text for line in lines if line.stream is Stream.STDOUT]
        assert lines[-1].text == "Process exited with status 0"
        assert controller.batches == []  # build output is read by the build, not shipped
        assert ProcessEngine(agent.home).list() == ()
        assert not list((agent.home / "agent" / "inputs").iterdir())

        client.cancel_job("b1")
        with pytest.raises(AgentRefused) as refused:
            client.job("b1")
        assert refused.value.status == 404
        assert not (agent.home / "logs" / "b1.log").exists()


def test_the_same_slug_is_not_uploaded_twice(agent: Agent, controller: FakeController) -> None:
    with agent.start() as client:
        for id in ("b1", "b2"):
            client.put_job(build(id, "mkdir $ROOT/app; echo x > $ROOT/app/x", output=JobOutput()))
            assert client.job(id, wait=10).state is JobState.SUCCEEDED
    assert sum(request.startswith("PUT ") for request in controller.requests) == 1


def test_a_failing_command_fails_the_job_with_its_status(agent: Agent) -> None:
    with agent.start() as client:
        client.put_job(build(command="echo no >&2; exit 7", output=JobOutput()))
        status = client.job("b1", wait=10)
        assert (status.state, status.exit.reason, status.exit.code) == (JobState.FAILED, ExitReason.EXITED, 7)
        assert status.slug is None
        assert [line.text for line in client.logs("b1") if line.stream is Stream.STDERR] == ["no"]


def test_a_missing_input_fails_the_job_in_words(agent: Agent) -> None:
    with agent.start() as client:
        client.put_job(build(inputs=(JobInput(path="/internal/none", target="/source"),)))
        status = client.job("b1", wait=10)
        assert (status.state, status.exit.reason) == (JobState.FAILED, ExitReason.NOT_STARTED)
        assert "/internal/none was answered 404" in status.message


def test_a_job_out_of_time_is_stopped(agent: Agent) -> None:
    with agent.start() as client:
        client.put_job(build(command="sleep 60", timeout=0.5))
        status = client.job("b1", wait=10)
        assert (status.state, status.exit.reason, status.exit.code) == (
            JobState.FAILED,
            ExitReason.TIMEOUT,
            143,
        )


def test_cancel_stops_the_process_and_says_so(agent: Agent) -> None:
    with agent.start() as client:
        client.put_job(build(command="echo started; sleep 60"))
        feed = client.logs("b1")
        assert next(line.text for line in feed if line.stream is Stream.STDOUT) == "started"
        began = time.monotonic()
        client.cancel_job("b1")
        status = client.job("b1", wait=10)
        assert time.monotonic() - began < 3
        assert (status.state, status.exit.reason) == (JobState.FAILED, ExitReason.CANCELLED)
        assert "Stopping all processes with SIGTERM" in [line.text for line in feed]  # and the feed ends
        assert ProcessEngine(agent.home).list() == ()


def test_lines_arrive_as_they_are_written(agent: Agent) -> None:
    with agent.start() as client:
        client.put_job(build(command="for n in 1 2 3; do echo $n; sleep 0.3; done"))
        delays = [time.time() - line.at for line in client.logs("b1") if line.stream is Stream.STDOUT]
        assert len(delays) == 3 and sorted(delays)[1] < 0.15


def test_a_cursor_resumes_where_it_was(agent: Agent) -> None:
    with agent.start() as client:
        client.put_job(build(command="seq 1 100"))
        client.job("b1", wait=10)
        lines = list(client.logs("b1", follow=False))
        half = lines[50]
        assert [line.text for line in client.logs("b1", cursor=half.cursor)] == [
            line.text for line in lines[51:]
        ]
        assert [line.cursor for line in lines] == sorted({line.cursor for line in lines})


def test_a_job_goes_on_over_kill_9_of_the_agent(agent: Agent, controller: FakeController) -> None:
    command = (
        "mkdir $ROOT/app; for n in $(seq 1 15); do echo line $n; sleep 0.1; done; echo done > $ROOT/app/x"
    )
    with agent.start() as client:
        client.put_job(build(command=command, output=JobOutput()))
        feed = client.logs("b1", reconnect=0)
        seen = [next(feed) for _ in range(5)]
        agent.end(signal.SIGKILL)
        with pytest.raises(AgentUnavailable):
            list(feed)
    with agent.start() as client:
        seen += list(client.logs("b1", cursor=seen[-1].cursor))
        status = client.job("b1", wait=10)
        assert status.state is JobState.SUCCEEDED, status
        written = [line.text for line in seen if line.stream is Stream.STDOUT]
        assert set(written) == {f"line {n}" for n in range(1, 16)} and len(seen) <= 15 + 4
        assert f"/internal/images/{status.slug.digest}" in controller.files


def test_a_job_that_ended_while_the_agent_was_down_is_finished(agent: Agent) -> None:
    with agent.start() as client:
        client.put_job(build(command="sleep 0.4; mkdir $ROOT/app", output=JobOutput()))
        eventually(lambda: client.job("b1").state is JobState.RUNNING)
        agent.end(signal.SIGTERM)
    eventually(lambda: not ProcessEngine(agent.home).list()[0].running)
    with agent.start() as client:
        assert client.job("b1", wait=10).state is JobState.SUCCEEDED


def test_one_off_output_is_shipped(agent: Agent, controller: FakeController) -> None:
    with agent.start() as client:
        client.put_job(JobSpec(container=container("r1", "echo migrated", name="release.1")))
        assert client.job("r1", wait=10).state is JobState.SUCCEEDED
        eventually(lambda: "Process exited with status 0" in controller.texts("r1"))
        assert "migrated" in controller.texts("r1")
        batch = next(batch for batch in controller.batches if batch.container == "r1")
        assert (batch.owner, batch.name, batch.lost) == ("app1", "release.1", 0)
