"""How images want to be run, in the platform's words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paas.oci.accounts import Account, resolve
from paas.oci.errors import ImageError
from paas.oci.settings import ImageSettings, choose_port, http_path, map_settings, parse_config, parse_signal

PASSWD = "root:x:0:0:root:/root:/bin/sh\nweb:x:101:102::/srv/web:/sbin/nologin\nbroken\n:x:a:b::\n"
GROUP = "root:x:0:\nweb:x:102:\nextra:x:200:web,other\n"


def settings(shell: bool = True, **config: Any) -> ImageSettings:
    text = json.dumps({"architecture": "amd64", "os": "linux", "config": config, "unknown": 1}).encode()
    return map_settings(parse_config(text), PASSWD, GROUP, shell=shell)


def test_everything_is_taken_over() -> None:
    found = settings(
        Entrypoint=["/entry"],
        Cmd=["serve", "--port=$PORT"],
        Env=["A=1", "A=2", "B=x=y", "EMPTY="],
        WorkingDir="srv/./app/../web",
        User="web",
        ExposedPorts={"8443/tcp": {}, "9000/udp": {}},
        StopSignal="SIGQUIT",
        Volumes={"/data/": {}},
        Healthcheck={"Test": ["CMD-SHELL", "curl -f http://localhost:8443/healthz || exit 1"]},
    )
    assert found.argv == ("/entry", "serve", "--port=$PORT")
    assert found.command == "/entry serve '--port=$PORT'"
    assert found.env == {"HOME": "/srv/web", "A": "2", "B": "x=y", "EMPTY": ""}
    assert found.cwd == "/srv/web"
    assert found.account == Account(101, 102, (200,), "/srv/web")
    assert (found.port, found.stop_signal, found.volumes, found.path) == (8443, 3, ("/data",), "/healthz")


def test_an_image_that_says_only_what_to_run() -> None:
    found = settings(Cmd=["/server"])
    assert found == ImageSettings(
        argv=("/server",), env={"HOME": "/root"}, account=Account(0, 0, (), "/root"), cwd="/"
    )


@pytest.mark.parametrize(
    ("user", "account"),
    [
        ("", Account(0, 0, (), "/root")),
        ("0", Account(0, 0, (), "/root")),
        ("root", Account(0, 0, (), "/root")),
        ("web", Account(101, 102, (200,), "/srv/web")),
        ("101", Account(101, 102, (200,), "/srv/web")),
        ("web:extra", Account(101, 200, (), "/srv/web")),
        ("5000", Account(5000, 0, (), "/")),
        ("5000:6000", Account(5000, 6000, (), "/")),
    ],
)
def test_users(user: str, account: Account) -> None:
    assert resolve(user, PASSWD, GROUP) == account


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("nobody-here", "does not have; use a number"),
        ("web:nogroup", "/etc/group does not have"),
        ("70000", "go up to 65535"),
        ("-1", "does not have"),
    ],
)
def test_users_that_cannot_be(user: str, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        resolve(user, PASSWD, GROUP)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "names no program"),
        ({"Entrypoint": [""]}, "names no program"),
        ({"Cmd": ["x"], "Env": ["A B=1"]}, "cannot be an environment variable"),
        ({"Cmd": ["x"], "StopSignal": "SIGNOTHING"}, "is no signal"),
        ({"Cmd": "x"}, "cannot be read"),
    ],
)
def test_what_cannot_be_run(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ImageError, match=words):
        settings(**config)


@pytest.mark.parametrize(
    ("env", "exposed", "port"),
    [
        ({}, [], 8080),
        ({}, ["80/tcp"], 80),
        ({}, ["9000", "7000/tcp"], 7000),
        ({}, ["1234", "3000"], 3000),
        ({}, ["53/udp"], 8080),
        ({"PORT": "4000"}, ["80/tcp"], 4000),
        ({"PORT": "many"}, ["80/tcp"], 80),
        ({}, ["99999"], 8080),
    ],
)
def test_ports(env: dict[str, str], exposed: list[str], port: int) -> None:
    assert choose_port(env, dict.fromkeys(exposed, {})) == port


def test_signals() -> None:
    assert [parse_signal(text) for text in ("", "INT", "SIGINT", "9")] == [15, 2, 2, 9]


@pytest.mark.parametrize(
    ("check", "path"),
    [
        (("/bin/sh", "-c", "curl -fsS http://127.0.0.1/up"), "/up"),
        (("wget", "-q", "--spider", "http://localhost:3000"), "/"),
        (("/bin/sh", "-c", "curl -f http://localhost:${PORT}/x && true"), "/x"),
        (("/bin/sh", "-c", "curl http://other.example/x"), ""),
        (("/bin/check",), ""),
        (("/bin/sh", "-c", "curl 'unfinished"), ""),
        ((), ""),
    ],
)
def test_checks_by_http(check: tuple[str, ...], path: str) -> None:
    assert http_path(check) == path
