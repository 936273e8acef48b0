"""The settings: read once, every problem named at once, nothing unknown accepted."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from paas.configuration import Configuration, ConfigurationError, read

pytestmark = pytest.mark.unit


def test_nothing_set_is_what_an_ordinary_machine_needs() -> None:
    settings = read({"PATH": "/bin", "HOME": "/root"})
    assert settings == Configuration()
    assert settings.api_url == "http://localhost:5000"
    assert settings.router_url == "http://localhost:8080"


def test_every_field_has_its_variable() -> None:
    environ = {
        "PAAS_HOME": "/data", "PAAS_DOMAIN": "apps.example.org", "PAAS_API_PORT": "6000", "PAAS_DEBUG": "yes",
        "PAAS_RELEASES_KEPT": "7", "PAAS_CA_BUNDLE": "/ca.pem",
    }  # fmt: skip
    settings = read(environ)
    assert (settings.home, settings.domain, settings.api_port) == (Path("/data"), "apps.example.org", 6000)
    assert (settings.debug, settings.releases_kept, settings.ca_bundle) == (True, 7, Path("/ca.pem"))
    texts = {"int": "3", "bool": "1", "Path": "/x", "str": "x"}
    everything = {f"PAAS_{field.name.upper()}": texts[str(field.type)] for field in fields(Configuration)}
    assert read(everything) != Configuration()


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("PAAS_API_PORT", "many", "cannot be used"),
        ("PAAS_API_PORT", "", "cannot be used"),
        ("PAAS_API_PORT", "-1", "must not be negative"),
        ("PAAS_API_PORT", "1.5", "cannot be used"),
        ("PAAS_HOME", "data", "must be an absolute path"),
        ("PAAS_HOME", "", "must be an absolute path"),
        ("PAAS_DEBUG", "maybe", "must be 1 or 0"),
        ("PAAS_DOMIAN", "example.org", "is not a setting; docs/operations.md lists them"),
        ("PAAS_home", "/x", "is not a setting"),
    ],
)
def test_what_cannot_be_used_is_named(variable: str, value: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=variable) as caught:
        read({variable: value})
    assert why in str(caught.value)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read({"PAAS_API_PORT": "x", "PAAS_HOME": "y", "PAAS_NO": "z", "PAAS_DOMAIN": "fine"})
    lines = str(caught.value).splitlines()
    assert [line.split("=")[0].split(" ")[0] for line in lines] == ["PAAS_API_PORT", "PAAS_HOME", "PAAS_NO"]


def test_settings_of_other_processes_are_left_to_them() -> None:
    read(
        {
            "PAAS_AGENT_LISTEN": "x",
            "PAAS_ROUTER_BIND": "x",
            "PAAS_TEST_X": "x",
            "PAAS_TOKEN": "x",
            "PAAS_APP": "x",
        }
    )


@pytest.mark.parametrize(("port", "url"), [(80, "http://shop.x/"), (8080, "http://shop.x:8080/")])
def test_a_usual_port_is_not_in_the_url(port: int, url: str) -> None:
    assert Configuration(router_port=port).app_url("shop.x") == url


def test_redis_is_its_own_unless_somebody_says_where() -> None:
    program = "from paas.configuration import configuration; print(configuration().redis_url)"

    def url(**environ: str) -> str:
        done = subprocess.run(
            (sys.executable, "-c", program), env={"PATH": os.environ["PATH"], "PAAS_HOME": "/data"} | environ,
            cwd=Path(__file__).resolve().parents[3], capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    assert url() == "unix:///data/run/redis.sock"
    assert url(REDIS_URL="redis://10.0.0.1:6379/2") == "redis://10.0.0.1:6379/2"
