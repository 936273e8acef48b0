"""A bomb of every kind on a real agent: its neighbour answers every request, and the bomb is reported in words."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "integration" / "runtime"))
sys.path.insert(0, str(Path(__file__).parent))

from agent_on_processes import AGENT_TOKEN, eventually, in_state
from bombs import BOMBS, Bomb, ask, bomb_spec, neighbour, python
from fake_controller import FakeController
from forgery import SEND, packet
from test_agent_real import RealAgent

from runtime.client import AgentClient
from runtime.container import storage
from runtime.container.cgroup import detect
from runtime.model import EventKind, HostEvent, InstanceSpec, Limits, Stream, WantedState

pytestmark = pytest.mark.system
FORGER = "import time\nwhile True: sum(range(100000)); time.sleep(0.05)"


class Place:
    """An agent whose wanted state is the neighbour and, in turn, one other instance."""

    def __init__(self, agent: RealAgent) -> None:
        self.agent, self.client, self.generation = agent, agent.start(), random.randrange(1, 10**6)
        self.give()
        self.address = in_state(self.client, "neighbour", "up", 60).address

    def give(self, *more: InstanceSpec) -> None:
        self.generation += 1
        self.client.put_wanted(WantedState(generation=self.generation, instances=(neighbour(), *more)))

    def told(self, container: str, words: str) -> HostEvent | None:
        """An event about this container that says so."""
        kinds = (EventKind.LIMIT, EventKind.OOM)
        return next(
            (
                event
                for event in self.client.events(0).events
                if event.container == container and event.kind in kinds and words in event.message
            ),
            None,
        )

    def logged(self, container: str, words: str) -> bool:
        lines = self.client.logs(container, follow=False)
        return any(words in line.text for line in lines if line.stream is Stream.SYSTEM)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    home = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
    controller = FakeController()
    controller.start()
    agent = RealAgent(home, controller.url)
    try:
        yield Place(agent)
    finally:
        if agent.process and agent.process.poll() is None:
            AgentClient(f"http://{(home / 'agent' / 'address').read_text()}", AGENT_TOKEN).stop()
            agent.process.wait(30)
        controller.stop()
    assert agent.leftovers() == []
    shutil.rmtree(home)


@pytest.mark.parametrize("bomb", BOMBS, ids=[bomb.name for bomb in BOMBS])
def test_the_neighbour_answers_and_the_bomb_is_reported(place: Place, bomb: Bomb) -> None:
    container = f"bomb{place.generation}"
    place.give(bomb_spec(bomb, container))
    in_state(place.client, container, "up", 120)
    ask(place.address, 100)
    if bomb.words:
        eventually(lambda: place.told(container, bomb.words), 120, f"nobody told: {bomb.words}")
    if bomb.name == "fork bomb":
        eventually(lambda: place.told(container, "held back to 2% of a processor"), 120)
        assert _quota(place.agent, container).read_text().startswith("2000")
    ask(place.address, 100)
    place.give()
    in_state(place.client, container, "stopped", 120)


def test_who_takes_all_weighs_less_and_a_new_agent_puts_weights_and_quotas_right(place: Place) -> None:
    container = f"hog{place.generation}"
    place.give(bomb_spec(BOMBS[0], container))
    weight = _weight(place.agent, "neighbour")
    usual = f"{Limits(memory_bytes=0).cpu_shares if weight.name == 'cpu.shares' else 39}\n"
    eventually(lambda: _weight(place.agent, container).read_text() != usual, 120)
    eventually(lambda: weight.read_text() == usual, 120)
    assert place.agent.process is not None
    place.agent.process.kill()
    place.agent.process.wait()
    weight.write_text(_weight(place.agent, container).read_text())
    quota = _quota(place.agent, "neighbour")
    free = quota.read_text()
    quota.write_text("2000")
    place.client = place.agent.start()
    eventually(lambda: weight.read_text() == usual, 120)
    eventually(lambda: quota.read_text() == free, 120)
    eventually(lambda: _weight(place.agent, container).read_text() != usual, 120)
    place.give()
    in_state(place.client, container, "stopped", 120)


def test_a_forged_source_address_is_dropped_and_reported(place: Place) -> None:
    container = f"forger{place.generation}"
    place.give(python(container, FORGER, "bad", Limits(memory_bytes=64 * 2**20)))
    pid = int(eventually(lambda: _pid(place.agent, container), 60))
    forged = packet(place.address, "198.51.100.7").hex()
    send = ["nsenter", f"--net=/proc/{pid}/ns/net", sys.executable, "-c", SEND, forged, "198.51.100.7"]
    for _ in range(3):
        subprocess.run(send, check=True)
    event = eventually(lambda: place.told(container, "source address"), 60)
    assert isinstance(event, HostEvent)
    assert re.match(r"[123] packets? with a source address that is not its own", event.message)
    assert place.logged(container, event.message)
    place.give()
    in_state(place.client, container, "stopped", 60)


def _weight(agent: RealAgent, container: str) -> Path:
    """The file in which the kernel has the weight of a container."""
    return _file(agent, container, "cpu.shares", "cpu.weight")


def _quota(agent: RealAgent, container: str) -> Path:
    """The file in which the kernel has how much processor time a container gets."""
    return _file(agent, container, "cpu.cfs_quota_us", "cpu.max")


def _file(agent: RealAgent, container: str, *names: str) -> Path:
    def find() -> Path | None:
        groups = detect().groups(f"/paas-{agent.tag}/{container}")
        files = (group / name for group in groups for name in names)
        return next((file for file in files if file.exists()), None)

    found = eventually(find, 60)
    assert isinstance(found, Path)
    return found


def _pid(agent: RealAgent, container: str) -> str:
    record = storage.load(agent.home / "c" / container)
    return str(record.pid) if record else ""
