"""Crashes outlive the reports that told them, and those that no report told are asked for."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.test import Client

from paas.controller.models import App, Crash, Instance
from paas.controller.selectors.crashes import crashes
from paas.controller.services import crashes as service
from paas.controller.services.accounts import create_token
from runtime.model import EndedRun, ExitInfo, ExitReason, InstanceState
from tests.integration.controller.machines import Platform

pytestmark = pytest.mark.integration


def ended(at: float, code: int = 3, **values: Any) -> ExitInfo:
    return ExitInfo(reason=ExitReason.EXITED, code=code, at=at, **values)


def only(app: App) -> str:
    return str(Instance.objects.get(app=app).id)


def test_each_end_is_kept_once_with_its_lines(platform: Platform, live: App) -> None:
    now = time.time()
    instance = only(live)
    platform.agent.set(instance, InstanceState.UP, started_at=now - 9)
    platform.agent.tell()
    assert crashes(live) == []
    first = ended(now - 5, head=("listening",), tail=("KeyError\0",))
    platform.agent.set(instance, InstanceState.CRASHED, last_exit=first, restarts=0)
    platform.agent.tell()
    platform.agent.tell()
    platform.agent.set(instance, InstanceState.UP, last_exit=first, restarts=1, started_at=now - 4)
    platform.agent.tell()
    second = ExitInfo(reason=ExitReason.OOM, code=137, signal=9, at=now - 1)
    platform.agent.set(instance, InstanceState.CRASHED, last_exit=second, restarts=1)
    platform.agent.tell()
    found = crashes(live)
    assert [(one.dyno, one.run, one.reason, one.ran_seconds) for one in found] == [
        ("web.1", 2, "oom", pytest.approx(3)),
        ("web.1", 1, "exited", pytest.approx(4)),
    ]
    assert (found[1].first_lines, found[1].last_lines) == (
        ("listening",),
        ("KeyError\N{REPLACEMENT CHARACTER}",),
    )
    assert "crashes.fill_in" not in [name for name, _ in platform.worker.waiting()]

    plain = create_token(live.owner)[1]
    headers = {"Authorization": f"Bearer {plain}"}
    headers["Accept"] = "application/vnd.heroku+json; version=3"
    body = Client().get("/apps/shop/crashes?dyno=web", headers=headers).json()
    assert [(one["dyno"], one["message"], one["code"]) for one in body] == [
        ("web.1", "used more memory than its size has and was killed (R15)", 137),
        ("web.1", "exited with status 3", 3),
    ]
    assert body[1]["first_lines"] == ["listening"]
    assert Client().get("/apps/shop/crashes?dyno=we", headers=headers).json() == []


def test_runs_between_two_reports_are_asked_for(platform: Platform, live: App) -> None:
    now, instance = time.time(), only(live)
    runs = tuple(
        EndedRun(run=run, exit=ended(now - 10 + run, run), started_at=now - 11 + run) for run in (1, 2, 3)
    )
    platform.agent.set(instance, InstanceState.UP, last_exit=runs[2].exit, restarts=3)
    platform.agent.runs[instance] = runs
    platform.agent.tell()
    platform.worker.drain(without=("hosts.push_host",))
    assert [(one.run, one.code, one.version) for one in crashes(live)] == [(3, 3, 2), (2, 2, 2), (1, 1, 2)]
    assert [one.ran_seconds for one in crashes(live)] == [pytest.approx(1, abs=0.01)] * 3


def test_what_was_asked_for_or_never_ran_is_none(platform: Platform, live: App) -> None:
    now, instance = time.time(), only(live)
    stopped = ExitInfo(reason=ExitReason.CANCELLED, at=now)
    platform.agent.set(instance, InstanceState.STOPPING, last_exit=stopped)
    platform.agent.tell()
    unfetched = ExitInfo(reason=ExitReason.NOT_STARTED, at=now + 1, message="cannot be fetched")
    platform.agent.set(instance, InstanceState.PENDING, last_exit=unfetched)
    platform.agent.tell()
    assert crashes(live) == []


def test_the_newest_are_kept(platform: Platform, live: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "KEPT", 3)
    now, instance = time.time(), only(live)
    for run in range(5):
        platform.agent.set(instance, InstanceState.CRASHED, last_exit=ended(now + run), restarts=run)
        platform.agent.tell()
    assert [one.run for one in crashes(live)] == [5, 4, 3]
    live.delete()
    assert not Crash.objects.exists()
