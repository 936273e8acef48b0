"""Words for people: how a process ended, where a release differs, what a log line looks like."""

from __future__ import annotations

from uuid import uuid4

import pytest

from paas.controller.models import Release
from paas.controller.selectors.logs import LogEntry
from paas.controller.selectors.planning import describe_exit
from paas.controller.selectors.releases import diff
from paas.controller.selectors.specs import template
from runtime.model import ExitInfo, ExitReason

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("reason", list(ExitReason))
def test_every_end_has_words(reason: ExitReason) -> None:
    words = describe_exit(ExitInfo(reason=reason, code=3, signal=9, message="the disk is full"))
    assert words
    assert "None" not in words


def test_a_line_of_a_log() -> None:
    entry = LogEntry("1-0", 1_700_000_000.25, "app", "web.1", "hello")
    assert entry.format() == "2023-11-14T22:13:20.250000+00:00 app[web.1]: hello"


def make(version: int, **values: object) -> Release:
    return Release(id=uuid4(), version=version, stack="debian-13", **values)


def web(quantity: int, command: str = "serve", size: str = "standard-1x") -> dict[str, object]:
    return {"web": {"quantity": quantity, "command": command, "size": size}}


def test_releases_that_do_not_differ() -> None:
    assert diff(make(1, formation=web(1)), make(2, formation=web(1))).empty


def test_what_was_added_and_removed() -> None:
    old = make(1, formation=web(1), domains=["a.example.org"])
    new = make(2, formation=web(3), domains=["b.example.org"])
    found = diff(old, new)
    assert found.domains == {"a.example.org": "removed", "b.example.org": "added"}
    assert found.formation == {"web": ("1 × standard-1x: serve", "3 × standard-1x: serve")}


class TestTemplate:
    """The same template: nothing has to be restarted."""

    def test_quantities_do_not_matter(self) -> None:
        assert template(make(1, formation=web(1)), "web") == template(make(2, formation=web(9)), "web")

    def test_what_it_runs_and_how_large_does(self) -> None:
        releases = [
            make(1, formation=web(1)),
            make(2, formation=web(1, command="other")),
            make(3, formation=web(1, size="standard-2x")),
            make(4, formation=web(1), stack_layers=[{"digest": "sha256:5"}]),
            make(5, formation=web(1), health_checks={"web": {"path": "/up"}}),
        ]
        assert len({template(one, "web") for one in releases}) == len(releases)
