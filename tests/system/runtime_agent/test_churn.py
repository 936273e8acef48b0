"""Containers come and go while the agent is killed at random: nothing is left, no address leaks, no exit is lost.

PAAS_TEST_CHURN="CONTAINERS,KILLS" makes it longer; "1000,50" takes some minutes.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "integration" / "runtime"))
sys.path.insert(0, str(Path(__file__).parent))

from agent_on_processes import AGENT_TOKEN, eventually
from test_agent_real import RealAgent, container

from runtime.client import AgentClient, AgentUnavailable
from runtime.model import (
    EventKind,
    ExitReason,
    HealthCheck,
    HealthKind,
    HostEvent,
    InstanceSpec,
    InstanceState,
    InstanceStatus,
    JobSpec,
    JobState,
    WantedState,
)

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(3600),
]
T = TypeVar("T")
CONTAINERS, KILLS = map(int, os.environ.get("PAAS_TEST_CHURN", "160,16").split(","))
BATCH = 10  # containers: half of them jobs, half instances
STAYS = "trap 'exit 9' TERM; while :; do sleep 0.1; done"


class KilledAgent(RealAgent):
    """An agent that is killed now and then, and comes back when somebody needs it."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, "")
        # Fewer addresses than containers: a leaked one is missed soon.
        self.subnet = f"10.{random.randrange(100, 250)}.{random.randrange(256)}.0/27"
        self.client: AgentClient | None = None
        self.kills = 0

    def ask(self, call: Callable[[AgentClient], T]) -> T:
        """Call the agent; start it and call again when it has been killed meanwhile."""
        deadline = time.monotonic() + 120
        while True:
            try:
                if self.client is None:
                    self.client = self.start()
                return call(self.client)
            except (AgentUnavailable, AssertionError):
                assert self.process and time.monotonic() < deadline
                eventually(lambda: self.process.poll() is not None, 10)
                assert self.process.returncode == -signal.SIGKILL, self.log
                if self.client:
                    self.client.close()
                self.client = None

    def kill_after(self, seconds: float) -> threading.Timer:
        process = self.process

        def kill() -> None:
            if process and process.poll() is None:
                process.kill()
                self.kills += 1

        timer = threading.Timer(seconds, kill)
        timer.start()
        return timer


@pytest.fixture
def agent() -> Iterator[KilledAgent]:
    home = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
    one = KilledAgent(home)
    yield one
    if one.process and one.process.poll() is not None and one.leftovers():
        one.start().close()
    if one.process and one.process.poll() is None:
        AgentClient(f"http://{(home / 'agent' / 'address').read_text()}", AGENT_TOKEN).stop()
        one.process.wait(20)
    assert one.leftovers() == []
    shutil.rmtree(home)


def instance(id: str) -> InstanceSpec:
    check = HealthCheck(kind=HealthKind.STEADY, steady_seconds=0.1)
    return InstanceSpec(container=container(id, "/bin/sh", "-c", STAYS, owner=f"app{id[-1]}"), health=check)


def put_batch(agent: KilledAgent, number: int) -> tuple[list[str], dict[str, int]]:
    """Replace all instances by new ones and start jobs; returns the instances, and the exit code of each job."""
    ids = [f"i{number}-{n}" for n in range(BATCH // 2)]
    wanted = WantedState(generation=number + 1, instances=tuple(instance(id) for id in ids))
    agent.ask(lambda client: client.put_wanted(wanted))
    codes = {f"j{number}-{n}": 10 + n for n in range(BATCH - len(ids))}
    for id, code in codes.items():
        pause = random.choice((0, 0.2, 1))
        spec = container(id, "/bin/sh", "-c", f"sleep {pause}; exit {code}", owner=f"app{code}", name="run.1")
        agent.ask(lambda client, spec=spec: client.put_job(JobSpec(container=spec)))
    return ids, codes


def check_jobs(agent: KilledAgent, codes: dict[str, int]) -> None:
    for id, code in codes.items():

        def ended(client: AgentClient, id: str = id) -> object:
            status = client.job(id, wait=5)
            return status if status.state in (JobState.SUCCEEDED, JobState.FAILED) else None

        status = eventually(lambda: agent.ask(ended), 60, f"{id} has not ended")
        assert (status.exit.reason, status.exit.code) == (ExitReason.EXITED, code), (id, status)


def gone(agent: KilledAgent, ids: list[str]) -> dict[str, InstanceStatus]:
    """Wait until none of these runs any more; returns what is still told of them."""

    def look(client: AgentClient) -> dict[str, InstanceStatus] | None:
        told = {one.id: one for one in client.report().instances if one.id in ids}
        return told if all(one.state is InstanceState.STOPPED for one in told.values()) else None

    return eventually(lambda: (told := agent.ask(look)) is not None and (told or {"none": None}), 60)


def events_after(agent: KilledAgent, number: int) -> list[HostEvent]:
    page = agent.ask(lambda client: client.events(number))
    assert page.first <= number + 1, "events fell out of the ring before they were read"
    return list(page.events)


def test_nothing_is_left_or_lost_however_often_the_agent_dies(agent: KilledAgent) -> None:
    batches = CONTAINERS // BATCH
    kills = sorted(random.sample(range(batches), min(KILLS, batches)))
    kills += random.choices(range(batches), k=max(0, KILLS - batches))
    events: list[HostEvent] = []
    codes: dict[str, int] = {}
    stopped: list[str] = []
    agent.ask(lambda client: client.health())
    began = time.monotonic()
    for number in range(batches):
        timers = []
        if number in kills:
            timers.append(agent.kill_after(random.uniform(0, 1.2)))
        ids, jobs = put_batch(agent, number)
        codes |= jobs
        check_jobs(agent, jobs)
        for timer in timers:
            timer.join()
        gone(agent, stopped[-BATCH:])
        stopped += ids
        events += events_after(agent, events[-1].number if events else 0)
    agent.ask(lambda client: client.put_wanted(WantedState(generation=batches + 1)))
    gone(agent, stopped)
    agent.ask(lambda client: client.put_wanted(WantedState(generation=batches + 2)))  # acknowledges them
    events += events_after(agent, events[-1].number)
    spent = time.monotonic() - began
    print(f"{batches * BATCH} containers, {agent.kills} kills, {len(events)} events, {spent:.0f} s")
    assert agent.kills >= min(KILLS, batches) - 1  # one may fall behind the end of its batch

    check_events(events, codes, stopped)
    clean = agent.command("doctor")
    assert clean.returncode == 0, clean.stdout
    assert not list((agent.home / "c").iterdir()) and not list((agent.home / "exits").iterdir())
    agent.ask(lambda client: client.stop())
    agent.process.wait(20)
    assert agent.leftovers() == []
    assert agent.command("doctor").returncode == 0


def check_events(events: list[HostEvent], codes: dict[str, int], instances: list[str]) -> None:
    """Numbers without gap or repeat; every run that started is told to have ended, with its true exit."""
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    exits: dict[str, list[HostEvent]] = {}
    for event in events:
        if event.kind is EventKind.EXITED:
            exits.setdefault(event.container, []).append(event)
    for id, code in codes.items():
        assert {event.exit.code for event in exits[id]} == {code}, exits[id]
    started = {event.container for event in events if event.kind is EventKind.STARTED}
    for id in instances:
        ends = [event.exit for event in exits.get(id, ())]
        assert ends or id not in started, f"{id} started, and nobody told how it ended"
        assert not [end for end in ends if end.reason in (ExitReason.LOST, ExitReason.NOT_STARTED)], (
            id,
            ends,
        )
