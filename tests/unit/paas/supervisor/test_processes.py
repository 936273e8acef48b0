"""The processes as values: their order, what they are told, and what never shows in a process list."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.configuration import Configuration
from paas.supervisor import announce
from paas.supervisor.layout import Layout
from paas.supervisor.processes import Machine, base_environment, environment, python_processes, redis

pytestmark = pytest.mark.unit
HOME = Path("/srv/paas")
SETTINGS = Configuration(home=HOME, bind="0.0.0.0", api_port=5100, agent_port=5110, domain="example.org")
MACHINE = Machine("host-1", "router-1", "pabc", "10.200.0.0/18")
PROCESSES = {process.name: process for process in python_processes(SETTINGS, Layout(HOME), MACHINE)}


def test_the_web_process_is_ready_before_those_that_call_it() -> None:
    assert next(iter(PROCESSES)) == "web"


def test_requests_stop_before_the_apps_and_redis_stops_last() -> None:
    stage = {name: process.ending.stage for name, process in PROCESSES.items()}
    assert stage["router"] < stage["web"] < stage["agent"] < redis(Layout(HOME)).ending.stage


def test_all_deadlines_together_stay_within_twenty_five_seconds() -> None:
    endings = [process.ending for process in [*PROCESSES.values(), redis(Layout(HOME))]]
    stages = {ending.stage for ending in endings}
    assert sum(max(e.deadline for e in endings if e.stage == stage) for stage in stages) <= 25


def test_redis_has_no_port() -> None:
    argv = redis(Layout(HOME)).argv
    assert argv[argv.index("--port") + 1] == "0"


def test_the_agent_gets_its_own_settings_and_none_of_the_control_planes() -> None:
    base = base_environment(
        {"PAAS_AGENT_PORT": "5110", "PAAS_HOME": "/srv/paas", "PATH": "/bin"}, Layout(HOME)
    )
    told = environment(PROCESSES["agent"], base)
    assert "PAAS_AGENT_PORT" not in told
    assert "PAAS_HOME" not in told
    assert told["PATH"] == "/bin"
    assert told["PAAS_AGENT_CONTROLLER"] == "https://127.0.0.1:5444"
    assert told["PAAS_AGENT_SUBNET"] == "10.200.0.0/18"


def test_the_first_password_does_not_stay_in_the_environment_of_processes() -> None:
    assert "PAAS_ADMIN_PASSWORD" not in base_environment({"PAAS_ADMIN_PASSWORD": "secret"}, Layout(HOME))


def test_keys_are_named_by_file_only() -> None:
    for process in PROCESSES.values():
        for name, value in process.environ.items():
            assert "TOKEN" not in name
            assert "KEY" not in name or value.startswith(f"{HOME}/")
            assert "MACHINE" not in name or value.startswith(f"{HOME}/machines/")


def test_the_ready_file_has_what_programs_need() -> None:
    credentials = {"token": "t", "admin_email": "a@b.c", "admin_password": "p", "sample": True}
    assert announce.document(SETTINGS, credentials) == {
        "api_url": "http://localhost:5100",
        "dashboard_url": "http://localhost:5100/",
        "git_url": "http://localhost:5001",
        "gateway_url": "https://localhost:5443",
        "ca_file": f"{HOME}/ca/ca.pem",
        "router_url": "http://example.org:8080",
        "domain": "example.org",
        "token": "t",
        "admin_email": "a@b.c",
        "admin_password": "p",
    }
