"""app.json: declared health checks, and what cannot be one."""

from __future__ import annotations

import pytest

from paas.slugbuilder.app_json import parse_health_checks
from paas.slugbuilder.errors import BuildError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", {}),
        ('\ufeff{"name": "x", "scripts": {"dokku": {}}}', {}),
        ('{"healthchecks": {"web": [{"type": "startup", "path": "/health"}]}}', {"web": {"path": "/health"}}),
        (
            '{"healthchecks": {"web": [{"command": ["true"]}, {"path": "/a", "timeout": 2}, {"path": "/b"}]}}',
            {"web": {"path": "/a", "timeout": 2.0}},
        ),
        ('{"healthchecks": {"web": []}}', {}),
        (
            '{"healthchecks": {"worker": [{"command": ["bin/check", "-q"], "attempts": 2, "type": "liveness"}]}}',
            {"worker": {"command": ["bin/check", "-q"], "unhealthy_threshold": 2, "restart_threshold": 2}},
        ),
        (
            '{"healthchecks": {"web": [{"path": "/", "wait": 9, "initialDelay": 30, "successes": 2,'
            ' "statuses": [200, 204], "httpHeaders": [{"name": "Host", "value": "a.b"}]}]}}',
            {
                "web": {
                    "path": "/",
                    "headers": {"Host": "a.b"},
                    "statuses": [200, 204],
                    "interval": 9.0,
                    "start_period": 30.0,
                    "healthy_threshold": 2,
                }
            },
        ),
    ],
)
def test_declared(text: str, expected: dict) -> None:
    assert parse_health_checks(text.encode()) == expected


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{\n"a": 1,\n"b" 2}', "line 3"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "an object"),
        (b'{"healthchecks": []}', "per process type"),
        (b'{"healthchecks": {"web": {"path": "/"}}}', "list of objects"),
        (b'{"healthchecks": {"web": [{"path": "health"}]}}', "starts with /"),
        (b'{"healthchecks": {"web": [{"path": "/a\\nb"}]}}', "starts with /"),
        (b'{"healthchecks": {"web": [{"path": "/", "timeout": true}]}}', "number of seconds"),
        (b'{"healthchecks": {"web": [{"path": "/", "attempts": 0}]}}', "from 1 to 100"),
        (b'{"healthchecks": {"web": [{"path": "/", "statuses": [200]}]}}', "must be two"),
        (b'{"healthchecks": {"web": [{"path": "/", "httpHeaders": [{"name": "a b"}]}]}}', "a header of"),
        (b'{"healthchecks": {"web": [{"path": "/", "httpHeaders": {"a": "b"}}]}}', "must be a list"),
        (b'{"healthchecks": {"web": [{"command": "true"}]}}', "list of words"),
        (b'{"healthchecks": {"web": [{"path": "/", "timeout": 900}]}}', "at most 60"),
    ],
)
def test_refused_in_words(data: bytes, said: str) -> None:
    with pytest.raises(BuildError) as caught:
        parse_health_checks(data)
    assert caught.value.id == "app_json_invalid"
    assert said in caught.value.message
