"""A reader that reconnects with `since` sees each start, end and pull exactly once, in order, whenever agents die."""

from __future__ import annotations

import hashlib
import os
import signal

import pytest
from agent_on_processes import Agent, container, eventually, in_state, worker
from fake_controller import FakeController
from process_engine import ProcessEngine

from runtime.model import (
    EventKind,
    HostEvent,
    ImageRef,
    InstanceSpec,
    InstanceState,
    Rootfs,
    WantedState,
)

pytestmark = pytest.mark.integration


def of(events: list[HostEvent], id: str) -> list[str]:
    return [str(event.kind) for event in events if event.container == id]


def test_nothing_twice_and_nothing_missing_over_kill_9(agent: Agent, controller: FakeController) -> None:
    data = b"squash" * 1000
    ref = ImageRef(digest=f"sha256:{hashlib.sha256(data).hexdigest()}", size=len(data))
    controller.files[f"/internal/images/{ref.digest}"] = data
    rootfs = Rootfs(layers=(ref,), host=True)
    stays = InstanceSpec(
        container=container("stays", "exec sleep 60", rootfs=rootfs), health=worker("x", "").health
    )
    seen: list[HostEvent] = []
    with agent.start() as client:
        client.put_wanted(WantedState(generation=1, instances=(stays, worker("dies", "exec sleep 60"))))
        for id in ("stays", "dies"):
            in_state(client, id, InstanceState.UP)
        seen += client.events().events
        agent.end(signal.SIGKILL)
    pid = next(one.pid for one in ProcessEngine(agent.home).list() if one.id == "dies")
    os.kill(pid, signal.SIGKILL)  # while no agent looks
    for _ in range(2):
        with agent.start() as client:
            eventually(lambda: client.inspect("dies").restarts == 1)
            in_state(client, "dies", InstanceState.UP)
            agent.end(signal.SIGKILL)
    with agent.start() as client:
        client.put_wanted(WantedState(generation=2))
        in_state(client, "stays", InstanceState.STOPPED)
        in_state(client, "dies", InstanceState.STOPPED)
        seen += client.events(seen[-1].number).events
    assert [event.number for event in seen] == list(range(1, len(seen) + 1))
    assert of(seen, "stays") == ["created", "started", "up", "exited", "removed"]
    life = ["created", "started", "up", "exited"]
    assert of(seen, "dies") == [*life, *life, "removed"]
    pulls = [event.message for event in seen if event.kind is EventKind.PULLED]
    assert len(pulls) == 1
    assert pulls[0].startswith(ref.digest)


def test_a_failing_pull_is_told_once_until_its_reason_changes(
    agent: Agent, controller: FakeController
) -> None:
    data = b"late" * 100
    ref = ImageRef(digest=f"sha256:{hashlib.sha256(data).hexdigest()}", size=len(data))
    spec = InstanceSpec(
        container=container("i1", "exec sleep 60", rootfs=Rootfs(layers=(ref,), host=True)),
        health=worker("x", "").health,
    )
    path = f"/internal/images/{ref.digest}"
    with agent.start() as client:
        client.put_wanted(WantedState(generation=1, instances=(spec,)))
        eventually(lambda: controller.requests.count(f"GET {path} 404") >= 2)
        controller.files[path] = data
        in_state(client, "i1", InstanceState.UP, 20)
        kinds = [event.kind for event in client.events().events if not event.container]
        assert kinds == [EventKind.PULL_FAILED, EventKind.PULLED]
