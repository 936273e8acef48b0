"""The platform as its operator meets it: started, started twice, killed, stopped, and nothing left of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paas.supervisor.subnets import tag
from runtime.network.rules import names_of
from tests import leftovers
from tests.e2e.platform import PORTS, ROOT, START_DEADLINE, STOP_DEADLINE, Platform, request, until

pytestmark = pytest.mark.e2e


PROCESSES = ("redis", "web", "git", "worker", "beat", "agent", "router", "gateway")


@pytest.fixture(scope="module")
def own(free_ports: Callable[[int], list[int]]) -> Iterator[Platform]:
    """A platform of this module: it is stopped and killed on the way."""
    one = Platform.prepare(free_ports(len(PORTS)))
    try:
        one.start()
        yield one
    finally:
        one.remove()


def test_the_ready_file_says_where_everything_is_and_only_its_owner_reads_it(own: Platform) -> None:
    assert set(own.ready) == {
        *("api_url", "dashboard_url", "git_url", "router_url", "domain"),
        *("token", "admin_email", "admin_password", "gateway_url", "ca_file"),
    }
    assert (own.home / "ready.json").stat().st_mode & 0o777 == 0o600


def test_every_door_answers(own: Platform) -> None:
    assert own.api("GET", "/health").status == 200
    assert own.api("GET", "/account").json()["email"] == own.ready["admin_email"]
    assert request(own.port("PAAS_GIT_PORT"), "GET", "/nothing.git/info/refs", None, {}).status < 500
    assert own.get("no-such-app").status == 404


def test_every_process_runs_and_none_was_restarted(own: Platform) -> None:
    lines = own.supervisor("status").stdout.splitlines()[1:]
    assert {line.split()[0] for line in lines} == set(PROCESSES)
    assert all("running" in line and line.endswith("restarts 0") for line in lines)


def test_no_secret_is_in_a_process_list_or_in_a_readable_file(own: Platform) -> None:
    secrets = [
        own.token,
        own.ready["admin_password"],
        *json.loads((own.home / "secrets.json").read_text()).values(),
    ]
    texts = [text for value in secrets for text in ([value] if isinstance(value, str) else value)]
    for line in leftovers.processes():
        assert not any(text in line for text in texts)
    for name in (
        "secrets.json",
        "credentials.json",
        "machines/agent.pem",
        "machines/router.pem",
        "machines/controller.pem",
    ):
        assert (own.home / name).stat().st_mode & 0o077 == 0, name


def test_a_second_start_on_the_same_folder_is_refused_in_words(own: Platform) -> None:
    second = own.supervisor("up", "--no-sample")
    assert second.returncode == 1
    assert f"A platform already runs in {own.home} (process {own.pid})" in second.stderr


def test_a_taken_port_is_said_with_its_setting(own: Platform, free_ports: Callable[[int], list[int]]) -> None:
    other = Platform.prepare(free_ports(len(PORTS)))
    try:
        with socket.create_server(("127.0.0.1", other.port("PAAS_ROUTER_PORT"))):
            refused = other.supervisor("up", "--no-sample")
        assert refused.returncode == 1
        assert f"Port {other.port('PAAS_ROUTER_PORT')} is taken by" in refused.stderr
        assert "PAAS_ROUTER_PORT" in refused.stderr
    finally:
        other.remove()


def test_an_unknown_setting_is_named() -> None:
    one = Platform.prepare(range(1, 1 + len(PORTS)), PAAS_API_PROT="5000")
    try:
        refused = one.supervisor("up")
        assert refused.returncode == 1
        assert "PAAS_API_PROT is not a setting" in refused.stderr
    finally:
        one.home.rmdir()


@pytest.mark.parametrize("name", PROCESSES)
def test_a_killed_process_comes_back(own: Platform, name: str) -> None:
    before = own.pid_of(name)
    os.kill(before, signal.SIGKILL)

    def is_back() -> bool:
        line = next((row for row in own.supervisor("status").stdout.splitlines() if row.startswith(name)), "")
        return "running" in line and str(before) not in line.split()

    until(is_back, 30, f"{name} is back")
    until(lambda: own.api("GET", "/health").status == 200, 30, "the API is healthy")


def test_a_named_process_is_restarted_on_demand(own: Platform) -> None:
    before = own.pid_of("worker")
    assert own.supervisor("restart", "worker").returncode == 0
    assert own.pid_of("worker") != before
    refused = own.supervisor("restart", "nothing")
    assert refused.returncode == 1
    assert "There is no such process" in refused.stderr


def test_after_the_supervisor_is_killed_the_next_start_cleans_up_and_works(own: Platform) -> None:
    token = own.token
    os.kill(own.pid, signal.SIGKILL)
    own.wait()
    own.start()
    assert own.token == token
    assert own.api("GET", "/health").status == 200


def test_down_leaves_nothing_but_the_data_folder(own: Platform) -> None:
    kinds = {line.split()[0] for line in left_of(own.home)}
    assert kinds >= {
        "process",
        "mount",
        "firewall",
        "interface",
        "subnet",
    }  # what is looked for is there before
    assert own.supervisor("down").returncode == 0
    assert own.wait() == 0
    until(lambda: not left_of(own.home), 10, "nothing is left")
    assert not (own.home / "ready.json").exists()
    assert own.supervisor("status").returncode == 3


def test_down_after_a_kill_leaves_nothing_either(own: Platform) -> None:
    own.start()
    os.kill(own.pid, signal.SIGKILL)
    own.wait()
    done = own.supervisor("down")
    assert done.returncode == 0, done.stderr
    until(lambda: not left_of(own.home), 10, "nothing is left")


def test_ctrl_c_stops_it_also_when_nobody_reads_its_output(own: Platform) -> None:
    """`script/up | tee file`: the same Ctrl-C ends tee first."""
    own.stop()
    ready_file = own.home / "ready.json"
    ready_file.unlink(missing_ok=True)  # a supervisor that was killed has left its own
    command = (sys.executable, "-m", "paas.supervisor", "up", "--no-sample", "--ready-file", str(ready_file))
    up = subprocess.Popen(
        command, cwd=ROOT, env=own.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert up.stdout is not None
    try:
        until(lambda: ready_file.exists() or up.poll() is not None, START_DEADLINE, "the platform is up")
        up.stdout.close()
        up.send_signal(signal.SIGINT)
        assert up.wait(STOP_DEADLINE) == 0
    finally:
        up.stdout.close()
        up.terminate()
        up.wait(STOP_DEADLINE)
    until(lambda: not left_of(own.home), 10, "nothing is left")


def test_the_sample_is_deployed_once_and_serves_again_after_a_restart(
    free_ports: Callable[[int], list[int]],
) -> None:
    one = Platform.prepare(free_ports(len(PORTS)))
    try:
        one.start(sample=True)
        assert one.get("sample").status == 200, one.logs()
        assert "Deploying the sample app" in one.output.read_text()
        one.stop()
        one.output.unlink()
        one.start(sample=True)
        assert one.get("sample").status == 200  # the ready file is written when the apps serve, not before
        assert "Deploying the sample app" not in one.output.read_text()
        assert len(one.api("GET", "/apps/sample/releases").json()) == 2
    finally:
        one.remove()
    until(lambda: not left_of(one.home), 10, "nothing is left")


def left_of(home: Path) -> set[str]:
    """Return what one platform left behind, other platforms of this machine aside."""
    names = names_of(tag(home))
    marks = (str(home), names.table, f"paas-{tag(home)}", f"interface {names.veth}")
    return {line for line in leftovers.found() if any(mark in line for mark in marks)}
