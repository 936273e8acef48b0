"""Instances from wanted state to running processes and back, through a real agent process."""

from __future__ import annotations

import os
import signal
import sys
import time
import urllib.request

import pytest
from agent_on_processes import Agent, container, eventually, in_state, status_of, web, worker
from fake_controller import FakeController
from process_engine import ProcessEngine

from runtime.client import AgentRefused
from runtime.model import ExitReason, HealthCheck, ImageRef, InstanceSpec, InstanceState, Rootfs, WantedState
from tests.ports import free_port

pytestmark = pytest.mark.integration


def get(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as response:
        return response.status


def test_a_web_instance_comes_up_answers_and_goes(agent: Agent, controller: FakeController) -> None:
    port = free_port()
    with agent.start() as client:
        client.put_wanted(WantedState(generation=1, instances=(web("i1", port),)))
        up = in_state(client, "i1", InstanceState.UP)
        assert (up.address, up.port, up.restarts) == ("127.0.0.1", port, 0)
        assert get(port) == 200

        client.put_wanted(WantedState(generation=2))
        stopped = in_state(client, "i1", InstanceState.STOPPED)
        assert stopped.last_exit.reason is ExitReason.SIGNALED
        assert ProcessEngine(agent.home).list() == ()
        eventually(lambda: controller.reports[-1].generation == 2 and controller.reports[-1].instances)
        assert (
            status_of(client, "i1").state == InstanceState.STOPPED
        )  # reported, but by no newer wanted state yet

        client.put_wanted(WantedState(generation=3))
        eventually(lambda: status_of(client, "i1") is None)
        texts = eventually(
            lambda: "Process exited with status 143" in controller.texts("i1") and controller.texts("i1")
        )
        assert texts[0].startswith("Starting process with command `exec ")
        assert "State changed from starting to up" in texts
        assert "Stopping all processes with SIGTERM" in texts
        eventually(lambda: not (agent.home / "logs" / "i1.log").exists())


def test_an_older_generation_is_refused(agent: Agent) -> None:
    with agent.start() as client:
        client.put_wanted(WantedState(generation=5))
        with pytest.raises(AgentRefused) as refused:
            client.put_wanted(WantedState(generation=4))
        assert (refused.value.status, refused.value.id) == (409, "older_generation")
        assert client.put_wanted(WantedState(generation=5)).generation == 5


def test_a_newer_wanted_state_arrives_in_the_answer_to_a_report(
    agent: Agent, controller: FakeController
) -> None:
    controller.wanted = WantedState(generation=7, instances=(worker("i1", "sleep 60"),))
    with agent.start() as client:
        in_state(client, "i1", InstanceState.UP)
        eventually(lambda: controller.reports[-1].generation == 7)


def test_an_exit_is_seen_at_once_and_restarted_then_backed_off(
    agent: Agent, controller: FakeController
) -> None:
    with agent.start() as client:
        client.put_wanted(
            WantedState(generation=1, instances=(worker("i1", "echo hello; sleep 0.3; exit 3"),))
        )
        # Twice: the first restart is immediate, the second is due in 10 s.
        eventually(lambda: (status := status_of(client, "i1")) and status.restarts == 1)
        crashed = in_state(client, "i1", InstanceState.CRASHED)
        assert (crashed.last_exit.reason, crashed.last_exit.code) == (ExitReason.EXITED, 3)
        assert 5 < crashed.restart_at - time.time() < 10.5
        assert abs(crashed.since - crashed.last_exit.at) < 0.25
        eventually(lambda: controller.texts("i1").count("Process exited with status 3") == 2)
        texts = controller.texts("i1")
        assert texts.count("hello") == 2
        assert "State changed from up to crashed" in texts


def test_one_that_never_listens_is_killed_with_r10(agent: Agent, controller: FakeController) -> None:
    with agent.start() as client:
        spec = web("i1", free_port(), "sleep 60", start_timeout=0.5)
        client.put_wanted(WantedState(generation=1, instances=(spec,)))
        crashed = in_state(client, "i1", InstanceState.CRASHED)
        assert (crashed.last_exit.reason, crashed.last_exit.code) == (ExitReason.BOOT_TIMEOUT, 137)
        message = (
            "Error R10 (Boot timeout) -> Web process failed to bind to $PORT within 0.5 seconds of launch"
        )
        eventually(lambda: message in controller.texts("i1"))


PAGES = """
import http.server, os, pathlib
class Page(http.server.BaseHTTPRequestHandler):
    def log_message(self, *words): pass
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(pathlib.Path(os.environ["PAGE"]).read_bytes())
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Page).serve_forever()
"""


def page_server(agent: Agent, id: str, **health: object) -> InstanceSpec:
    """Answers with what is in the file `page`."""
    (agent.home / "pages.py").write_text(PAGES)
    command = f"PAGE={agent.home}/page exec {sys.executable} -u {agent.home}/pages.py"
    return web(id, free_port(), command, content="All fine", path="/up?key=k1", **health)


def test_an_answer_without_the_text_it_must_hold_is_no_healthy_one(
    agent: Agent, controller: FakeController
) -> None:
    """While it boots, and later; told in words that hold nothing else of the answer."""
    page, why = agent.home / "page", "GET /up was answered without the text 'All fine'"
    page.write_text("in trouble: token-77")
    with agent.start() as client:
        client.put_wanted(WantedState(generation=1, instances=(page_server(agent, "i1", start_timeout=5),)))
        late = eventually(lambda: (status := status_of(client, "i1")) and status.last_exit, 30)
        assert (late.reason, late.message) == (ExitReason.BOOT_TIMEOUT, why)
        page.write_text("yes: All fine, thank you")
        client.put_wanted(
            WantedState(generation=2, instances=(page_server(agent, "i2", restart_threshold=30),))
        )
        assert in_state(client, "i2", InstanceState.UP).health_problem == ""
        page.write_text("in trouble: token-77")
        assert in_state(client, "i2", InstanceState.UNHEALTHY).health_problem == why
        page.write_text("All fine again")
        assert in_state(client, "i2", InstanceState.UP).health_problem == ""
        page.write_text("in trouble: token-77")
        dead = eventually(lambda: status_of(client, "i2").last_exit, 20)
        assert (dead.reason, dead.message) == (
            ExitReason.UNHEALTHY,
            f"its health check failed 30 times in a row: {why}",
        )
        told = [event.message for event in client.events().events if why in event.message]
        assert any(one.startswith("it was not healthy within 5 seconds") for one in told)
        assert why in told
        ended = f"Health check failed 30 times in a row: {why}; restarting process"
        texts = eventually(lambda: ended in (texts := controller.texts("i2")) and texts)
    assert f"Health check failed: {why}" in texts
    late_line = next(text for text in controller.texts("i1") if "R10" in text)
    assert late_line.endswith(f"Process failed to become healthy within 5 seconds of launch: {why}")
    assert not any("token-77" in text or "k1" in text for text in texts)


def test_failing_checks_make_it_unhealthy_and_passing_ones_up_again(agent: Agent) -> None:
    port = free_port()
    with agent.start() as client:
        client.put_wanted(WantedState(generation=1, instances=(web("i1", port, timeout=0.2),)))
        in_state(client, "i1", InstanceState.UP)
        pid = ProcessEngine(agent.home).list()[0].pid
        os.kill(pid, signal.SIGSTOP)
        in_state(client, "i1", InstanceState.UNHEALTHY)
        os.kill(pid, signal.SIGCONT)
        in_state(client, "i1", InstanceState.UP)


def test_one_that_ignores_term_is_killed_after_its_grace(agent: Agent, controller: FakeController) -> None:
    spec = container("i1", "trap '' TERM; while :; do sleep 0.05; done", grace_seconds=0.3)
    with agent.start() as client:
        steady = HealthCheck(kind="steady", steady_seconds=0.1)
        client.put_wanted(WantedState(generation=1, instances=(InstanceSpec(container=spec, health=steady),)))
        in_state(client, "i1", InstanceState.UP)
        client.put_wanted(WantedState(generation=2))
        assert in_state(client, "i1", InstanceState.STOPPED).last_exit.code == 137
        r12 = "Error R12 (Exit timeout) -> At least one process failed to exit within 0.3 seconds of SIGTERM"
        eventually(lambda: r12 in controller.texts("i1"))


def test_images_are_fetched_once_and_waited_for(agent: Agent, controller: FakeController) -> None:
    import hashlib

    data = b"squash" * 1000
    ref = ImageRef(digest=f"sha256:{hashlib.sha256(data).hexdigest()}", size=len(data))
    path = f"/internal/images/{ref.digest}"
    rootfs = Rootfs(layers=(ref,), host=True)
    specs = tuple(
        InstanceSpec(container=container(f"i{n}", "sleep 60", rootfs=rootfs), health=worker("x", "").health)
        for n in range(3)
    )
    with agent.start() as client:
        client.put_wanted(WantedState(generation=1, instances=specs))
        missing = eventually(lambda: (status := status_of(client, "i0")) and status.last_exit)
        assert "404" in missing.message and status_of(client, "i0").state == InstanceState.PENDING
        controller.files[path] = data
        for number in range(3):
            in_state(client, f"i{number}", InstanceState.UP)
        assert controller.requests.count(f"GET {path} 200") == 1


def test_one_bad_instance_does_not_stop_the_others(agent: Agent) -> None:
    bad = InstanceSpec(container=container("bad", "true", cwd="/", env={"A=B": "x"}))
    with agent.start() as client:
        client.put_wanted(WantedState(generation=1, instances=(bad, worker("good", "sleep 60"))))
        in_state(client, "good", InstanceState.UP)
        in_state(client, "bad", InstanceState.CRASHED)


@pytest.mark.parametrize("id", ["../x", "", "a/b", "x" * 65])
def test_an_id_that_is_no_file_name_is_refused(agent: Agent, id: str) -> None:
    with agent.start() as client:
        with pytest.raises(AgentRefused) as refused:
            client.put_wanted(WantedState(generation=1, instances=(worker(id, "true"),)))
        assert refused.value.status == 400
