"""The agent clears away what nobody needs, never what somebody does, and says what it did."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from agent_on_processes import AGENT_TOKEN, Agent, container, eventually, in_state, worker
from fake_controller import FakeController

from runtime.client import AgentClient
from runtime.model import (
    EventKind,
    ImageRef,
    InstanceSpec,
    InstanceState,
    JobSpec,
    JobState,
    Rootfs,
    WantedState,
)

pytestmark = pytest.mark.integration


class TidyAgent(Agent):
    """An agent that keeps nothing it does not need."""

    keep: dict[str, str] = {"PAAS_AGENT_IMAGES_MAX_BYTES": "0", "PAAS_AGENT_CACHES_MAX_BYTES": "0"}

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self.keep}


@pytest.fixture
def agent(agent: Agent) -> Agent:
    agent.__class__ = TidyAgent
    return agent


def offer(controller: FakeController, data: bytes) -> ImageRef:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    controller.files[f"/internal/images/{digest}"] = data
    return ImageRef(digest=digest, size=len(data))


def sleeper(id: str, ref: ImageRef) -> InstanceSpec:
    spec = worker(id, "exec sleep 60")
    rooted = container(id, "exec sleep 60", rootfs=Rootfs(layers=(ref,)), owner=f"owner-{id}")
    return InstanceSpec(container=rooted, health=spec.health)


def stored(home: Path) -> set[str]:
    return {f"sha256:{file.name}" for file in (home / "images").iterdir()}


def metrics(home: Path) -> str:
    address = (home / "agent" / "address").read_text()
    request = urllib.request.Request(
        f"http://{address}/metrics", headers={"Authorization": f"Bearer {AGENT_TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=5) as response:
        return response.read().decode()


def test_images_go_when_nobody_needs_them_any_more(
    agent: Agent, controller: FakeController, home: Path
) -> None:
    first, second = offer(controller, b"one"), offer(controller, b"two")
    client = agent.start()
    client.put_wanted(WantedState(generation=1, instances=(sleeper("i1", first),)))
    in_state(client, "i1", InstanceState.UP)
    job = container("j1", "exec sleep 60", rootfs=Rootfs(layers=(second,)))
    client.put_job(JobSpec(container=job))
    eventually(lambda: client.job("j1").state is JobState.RUNNING)
    assert client.prune().items == ()
    assert stored(home) == {first.digest, second.digest}

    client.put_wanted(WantedState(generation=2))
    in_state(client, "i1", InstanceState.STOPPED)
    pruned = client.prune()
    assert [item.split(":")[1] for item in pruned.items] == [first.digest.split(":")[1]]
    assert pruned.bytes == 3
    assert stored(home) == {second.digest}
    (event,) = [event for event in client.events().events if event.kind is EventKind.PRUNED]
    assert first.digest in event.message and "PAAS_AGENT_IMAGES_MAX_BYTES" in event.message
    assert 'paas_removed_total{kind="image"} 1' in metrics(home)
    assert "paas_images 1\n" in metrics(home)

    client.cancel_job("j1")
    eventually(lambda: client.job("j1").state is JobState.FAILED)
    client.prune()
    assert stored(home) == set()
    client.put_wanted(WantedState(generation=3, instances=(sleeper("i2", first),)))
    in_state(client, "i2", InstanceState.UP)  # fetched anew
    client.close()


def test_clearing_never_takes_an_image_from_a_starting_instance(
    agent: Agent, controller: FakeController
) -> None:
    refs = [offer(controller, bytes([n]) * 10) for n in range(4)]
    client, done = agent.start(), threading.Event()

    def keep_pruning() -> None:
        with AgentClient(client._base, AGENT_TOKEN) as other:
            while not done.is_set():
                other.prune()

    thread = threading.Thread(target=keep_pruning)
    thread.start()
    try:
        for generation in range(1, 9):
            ids = [f"i{generation}-{n}" for n in range(4)]
            specs = tuple(sleeper(id, ref) for id, ref in zip(ids, refs, strict=True))
            client.put_wanted(WantedState(generation=generation, instances=specs))
            for id in ids:
                status = in_state(client, id, InstanceState.UP, 20)
                assert (status.restarts, status.last_exit) == (0, None)
    finally:
        done.set()
        thread.join()
    client.close()


def test_caches_and_their_owners_go_but_not_those_of_running_builds(agent: Agent, home: Path) -> None:
    client = agent.start()
    client.put_job(JobSpec(container=container("b1", "exec sleep 60", owner="busy"), cache="c"))
    client.put_job(JobSpec(container=container("b2", "true", owner="idle"), cache="c"))
    eventually(lambda: client.job("b2").state is JobState.SUCCEEDED)
    eventually(lambda: client.job("b1").state is JobState.RUNNING)
    (home / "volumes" / "idle" / "data").write_text("a volume that is no cache")
    (home / "volumes" / "idle" / "c").write_text("cached")
    items = client.prune().items
    assert [item.split(":")[0] for item in items] == ["cache idle/c"]
    assert sorted(str(file.relative_to(home)) for file in (home / "volumes").glob("*/*")) == [
        "volumes/busy/c",
        "volumes/idle/data",
    ]
    client.close()


def test_purged_caches_go_at_once_and_nothing_else_does(agent: Agent, home: Path) -> None:
    agent.__class__ = Agent  # it keeps caches: these go because somebody asks
    client = agent.start()
    client.put_job(JobSpec(container=container("b1", "exec sleep 60", owner="app"), cache="used"))
    for id, owner, cache in (("b2", "app", "old"), ("b3", "app", "kept"), ("b4", "other", "old")):
        client.put_job(JobSpec(container=container(id, "true", owner=owner), cache=cache))
        eventually(lambda id=id: client.job(id).state is JobState.SUCCEEDED)
    eventually(lambda: client.job("b1").state is JobState.RUNNING)
    (home / "volumes" / "app" / "data").write_text("a volume that is no cache")
    client.prune()  # notes what is a cache
    assert [item.split(":")[0] for item in client.drop_caches("app", keep="kept").items] == ["cache app/old"]
    assert client.drop_caches("app", keep="kept").items == ()
    left = sorted(str(file.relative_to(home / "volumes")) for file in (home / "volumes").glob("*/*"))
    assert left == ["app/data", "app/kept", "app/used", "other/old"]
    client.close()


def test_a_nearly_full_disk_is_cleared_without_being_asked(
    agent: TidyAgent, controller: FakeController, home: Path
) -> None:
    agent.keep = {"PAAS_AGENT_DISK_FREE_MIN": "100%"}
    ref = offer(controller, b"one")
    (home / "images").mkdir()
    (home / "images" / ref.digest.removeprefix("sha256:")).write_bytes(b"one")
    agent.start().close()
    eventually(lambda: stored(home) == set())
    eventually(lambda: "nothing more may be removed" in (home / "agent.log").read_text())


def test_dead_files_go_and_survive_nothing(agent: Agent, home: Path) -> None:
    client = agent.start()
    inputs, tmp = home / "agent" / "inputs", home / "agent" / "tmp"
    (inputs / "gone").mkdir()
    (inputs / "gone" / "0").write_text("source")
    client.put_job(JobSpec(container=container("b1", "exec sleep 60")))
    eventually(lambda: client.job("b1").state is JobState.RUNNING)
    for name, age in (("image-old", 7200), ("image-new", 0)):
        (tmp / name).write_text("part")
        os.utime(tmp / name, (time.time() - age,) * 2)
    client.prune()
    assert [file.name for file in inputs.iterdir()] == ["b1"]
    assert [file.name for file in tmp.iterdir()] == ["image-new"]
    client.close()


def test_who_used_what_is_remembered_over_kill_9(
    agent: TidyAgent, controller: FakeController, home: Path
) -> None:
    agent.keep = {"PAAS_AGENT_IMAGES_KEEP_HOURS": "0"}
    ref = offer(controller, b"one")
    client = agent.start()
    client.put_wanted(WantedState(generation=1, instances=(sleeper("i1", ref),)))
    in_state(client, "i1", InstanceState.UP)
    assert client.prune().items == ()
    client.close()
    agent.end(signal.SIGKILL)
    client = agent.start()
    client.put_wanted(WantedState(generation=2))
    in_state(client, "i1", InstanceState.STOPPED)
    assert client.prune().items == ()  # the newest of its owner, noted by the agent before
    assert stored(home) == {ref.digest}
    client.close()


def test_events_are_numbered_over_kill_9_and_tell_exits(agent: Agent) -> None:
    client = agent.start()
    client.put_wanted(WantedState(generation=1, instances=(worker("i1", "sleep 0.4; exit 3"),)))
    eventually(lambda: [e for e in client.events().events if e.kind is EventKind.EXITED])
    seen = client.events()
    kinds = [event.kind for event in seen.events if event.container == "i1"][:4]
    assert kinds == [EventKind.CREATED, EventKind.STARTED, EventKind.UP, EventKind.EXITED]
    exited = next(event for event in seen.events if event.kind is EventKind.EXITED)
    assert (exited.exit.code, exited.owner, exited.name) == (3, "app1", "web.1")
    client.close()
    agent.end(signal.SIGKILL)
    client = agent.start()
    again = client.events()
    assert again.events[: len(seen.events)] == seen.events
    began = time.monotonic()
    assert client.events(since=again.last + 10**6, wait=0.3).events == ()
    assert time.monotonic() - began >= 0.3
    client.put_wanted(WantedState(generation=2))
    eventually(lambda: any(e.kind is EventKind.REMOVED for e in client.events(again.last, wait=1).events))
    numbers = [event.number for event in client.events().events]
    assert numbers == list(range(1, len(numbers) + 1))
    client.close()
