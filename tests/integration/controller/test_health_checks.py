"""From what the code declares to what a host is told to check."""

from __future__ import annotations

import msgspec
import pytest

from paas.controller.models import App, Release
from paas.controller.selectors.specs import health_check
from paas.controller.services.builds import DeclaredCheck
from paas.slugbuilder.app_json import parse_health_checks
from runtime.model import HealthKind

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("declared", "type_", "kind"),
    [
        ("[]", "web", HealthKind.TCP),
        ("[]", "worker", HealthKind.STEADY),
        ('[{"path": "/up"}]', "web", HealthKind.HTTP),
        ('[{"path": "/up"}]', "worker", HealthKind.STEADY),
        ('[{"command": ["bin/check"]}]', "web", HealthKind.COMMAND),
        ('[{"command": ["bin/check"]}]', "worker", HealthKind.COMMAND),
    ],
)
def test_the_kind_follows_from_what_is_declared(
    live: App, declared: str, type_: str, kind: HealthKind
) -> None:
    found = parse_health_checks(f'{{"healthchecks": {{"{type_}": {declared}}}}}'.encode())
    release = Release(app=live, health_checks=found)
    assert health_check(release, type_).kind is kind


def test_everything_declared_reaches_the_host(live: App) -> None:
    text = """{"healthchecks": {"web": [{"type": "liveness", "path": "/up", "timeout": 2, "wait": 9, "attempts": 4,
        "successes": 2, "initialDelay": 30, "statuses": [200, 204], "content": "fine",
        "httpHeaders": [{"name": "Host", "value": "a.b"}]}]}}"""
    declared = parse_health_checks(text.encode())["web"]
    stored = msgspec.to_builtins(msgspec.convert(declared, DeclaredCheck))
    check = health_check(Release(app=live, health_checks={"web": stored}), "web")
    assert (check.path, check.timeout, check.interval, check.start_period) == ("/up", 2.0, 9.0, 30.0)
    assert (check.unhealthy_threshold, check.healthy_threshold, check.restart_threshold) == (4, 2, 4)
    assert (check.statuses, check.headers) == ((200, 204), {"Host": "a.b"})
    assert check.content == "fine"
