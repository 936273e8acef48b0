"""app.json besides its health checks, and CHECKS."""

from __future__ import annotations

import json

import pytest

from paas.slugbuilder.checks_file import parse_checks
from paas.slugbuilder.declared import Cron, Declared, Variable, parse_declared
from paas.slugbuilder.declaring import check_required, for_controller
from paas.slugbuilder.errors import BuildError

pytestmark = pytest.mark.unit


def parse(**document: object) -> Declared:
    return parse_declared(json.dumps(document).encode())


def test_herokus_example() -> None:
    found = parse(
        name="Small Sharp Tool",
        keywords=["productivity"],
        website="https://example.com",
        success_url="/welcome",
        scripts={"postdeploy": "bundle exec rake bootstrap", "pr-predestroy": "x"},
        env={
            "SECRET_TOKEN": {"description": "A secret key", "generator": "secret"},
            "WEB_CONCURRENCY": {"description": "Processes", "value": "5"},
            "NEEDED": {"description": "Ask us", "required": True},
            "SHORT": "text",
            "NUMBER": 3,
            "FLAG": True,
        },
        formation={"web": {"quantity": 1, "size": "Standard-1X"}},
        addons=["heroku-postgresql", {"plan": "heroku-redis:mini"}],
        buildpacks=[{"url": "urn:buildpack:heroku/python"}, {"url": "https://h/x.git"}],
        stack="heroku-24",
        environments={"test": {}},
        image="heroku/ruby",
    )
    assert found.env == (
        Variable("SECRET_TOKEN", None, True, False, "A secret key"),
        Variable("WEB_CONCURRENCY", "5", description="Processes"),
        Variable("NEEDED", None, required=True, description="Ask us"),
        Variable("SHORT", "text"),
        Variable("NUMBER", "3"),
        Variable("FLAG", "true"),
    )
    assert found.formation == {"web": {"quantity": 1, "size": "standard-1x"}}
    assert found.buildpacks == ("heroku/python", "https://h/x.git")
    assert found.addons == ("heroku-postgresql", "heroku-redis:mini")
    assert found.stack == "heroku-24"
    assert for_controller(found)["scripts"] == {"postdeploy": "bundle exec rake bootstrap"}


def test_dokkus_scripts_and_cron() -> None:
    found = parse(
        scripts={
            "dokku": {"predeploy": "touch a", "postdeploy": "notify"},
            "postdeploy": {"command": "seed"},
        },
        cron=[
            {"command": "node index.js", "schedule": "@daily"},
            {
                "command": "x",
                "schedule": " */5  * * * * ",
                "concurrency_policy": "forbid",
                "maintenance": True,
            },
        ],
        formation=[{"process": "web", "quantity": 2}],
    )
    assert found.scripts == {"postdeploy": "seed", "predeploy": "touch a", "deployed": "notify"}
    assert found.cron == (Cron("node index.js", "@daily"), Cron("x", "*/5 * * * *", "forbid", True))
    assert found.formation == {"web": {"quantity": 2}}


def test_nothing_said() -> None:
    assert parse() == parse(env=None, scripts={}, cron=[]) == Declared()
    assert for_controller(Declared()) == {}


BAD = {
    "`env` must be an object": {"env": []},
    "`env` names 'A-B'": {"env": {"A-B": "x"}},
    "generator of `env.A`": {"env": {"A": {"generator": "uuid"}}},
    "value of `env.A` must be text": {"env": {"A": {"value": []}}},
    "`formation.web` must be an object": {"formation": {"web": 1}},
    "quantity of `formation.web`": {"formation": {"web": {"quantity": "2"}}},
    "`formation` must be an object": {"formation": "web"},
    "each of `buildpacks`": {"buildpacks": [{"name": "x"}]},
    "command of `scripts: postdeploy`": {"scripts": {"postdeploy": ["a"]}},
    "entry 1 of `cron` has no schedule": {"cron": [{"command": "x"}]},
    "concurrency_policy of entry 1": {
        "cron": [{"command": "x", "schedule": "@daily", "concurrency_policy": "y"}]
    },
    "`cron` must be a list": {"cron": {}},
}


@pytest.mark.parametrize("words", BAD)
def test_what_cannot_be_used(words: str) -> None:
    with pytest.raises(BuildError) as raised:
        parse(**BAD[words])
    assert raised.value.id == "app_json_invalid"
    assert words in raised.value.message


def test_what_is_required_is_told_at_once() -> None:
    env = (Variable("A", required=True, description="Ask us"), Variable("B", required=True), Variable("C"))
    with pytest.raises(BuildError, match="config vars that are not set") as raised:
        check_required(env, {})
    assert raised.value.details == ("A: Ask us", "B")
    assert raised.value.hint.endswith("paas config:set A=… B=…")
    check_required(env, {"A": "", "B": "x"})


def test_checks() -> None:
    found = parse_checks(
        b"\xef\xbb\xbf# comment\r\nWAIT=10\r\nTIMEOUT=5 # s\r\nATTEMPTS=4\r\n\r\n"
        b"//admin.example.com/up  All fine\r\n/other\r\nX=1\r\n"
    )
    assert found.check == {
        "path": "/up",
        "content": "All fine",
        "headers": {"Host": "admin.example.com"},
        "interval": 10.0,
        "timeout": 5.0,
        "unhealthy_threshold": 4,
    }
    assert [one[:14] for one in found.warnings] == ["CHECKS line 7:", "CHECKS line 8:"]
    assert parse_checks(b"WAIT=5\n").check == {}
    assert parse_checks(b"/").check == {"path": "/"}
    assert parse_checks(b"/\t\tMy <b>App</b>  $(x)").check["content"] == "My <b>App</b>  $(x)"


@pytest.mark.parametrize(
    "text",
    [
        b"WAIT=soon",
        "WAIT=\u00b2".encode(),
        b"WAIT=" + b"9" * 5000,
        b"TIMEOUT=0",
        b"TIMEOUT=99",
        b"up",
        b"ftp://x/",
        b"/ " + b"x" * 501,
    ],
)
def test_checks_that_cannot_be_read(text: bytes) -> None:
    with pytest.raises(BuildError, match="CHECKS line 1") as raised:
        parse_checks(text)
    assert raised.value.id == "checks_invalid"
