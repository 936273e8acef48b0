"""`python -m runtime doctor` with the agent up and down: its table, its exit status, its repairs."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "integration" / "runtime"))
sys.path.insert(0, str(Path(__file__).parent))

from agent_on_processes import AGENT_TOKEN, eventually, in_state
from test_agent_real import RealAgent, fetch, web

from runtime.client import AgentClient
from runtime.model import EventKind, InstanceState, WantedState
from runtime.network.rules import names_of

pytestmark = pytest.mark.system


@pytest.fixture
def agent() -> Iterator[RealAgent]:
    home = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
    one = RealAgent(home, "")
    yield one
    if one.process and one.process.poll() is None:
        AgentClient(f"http://{(home / 'agent' / 'address').read_text()}", AGENT_TOKEN).stop()
        one.process.wait(20)
    elif one.leftovers():
        one.start().stop()
        one.process.wait(20)
    assert one.leftovers() == []
    assert one.command("doctor").returncode == 0
    shutil.rmtree(home)


def make_leftovers(agent: RealAgent) -> str:
    """A veth of ours, a control group and an exit file; returns the interface's name."""
    name = f"{names_of(agent.tag).veth}zz"
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p"], check=True)
    for parent in Path("/sys/fs/cgroup").glob(f"*/paas-{agent.tag}"):
        (parent / "gone").mkdir()
    (agent.home / "exits" / "gone").write_text("0")
    return name


def check_found_and_repaired(agent: RealAgent, name: str) -> None:
    seen = agent.command("doctor")
    assert seen.returncode == 1, seen
    table = " ".join(seen.stdout.split())
    for words in (f"left interface {name} ", "left exit file", f"left cgroup /paas-{agent.tag}/gone"):
        assert words in table, seen.stdout
    assert "python -m runtime doctor --repair" in seen.stdout
    repaired = agent.command("doctor", "--repair")
    assert repaired.returncode == 0, repaired
    assert "clean: 4 repaired" in repaired.stdout
    again = agent.command("doctor")
    assert (again.returncode, "clean: nothing is left" in again.stdout) == (0, True), again.stdout


def test_with_the_agent_up(agent: RealAgent) -> None:
    client = agent.start()
    client.put_wanted(WantedState(generation=1, instances=(web("i1"),)))
    up = in_state(client, "i1", InstanceState.UP, 20)
    assert agent.command("doctor").returncode == 0
    check_found_and_repaired(agent, make_leftovers(agent))
    assert fetch(up.address) == 200
    pruned = [event.message for event in client.events().events if event.kind is EventKind.PRUNED]
    assert len(pruned) == 4 and all(message.startswith("leftover") for message in pruned)


def test_the_agent_repairs_by_itself(agent: RealAgent) -> None:
    client = agent.start()
    make_leftovers(agent)
    client.prune()
    pruned = [event.message for event in client.events().events if event.kind is EventKind.PRUNED]
    assert len(pruned) >= 3, pruned
    assert agent.command("doctor").returncode == 0


def test_with_the_agent_killed(agent: RealAgent) -> None:
    client = agent.start()
    client.put_wanted(WantedState(generation=1, instances=(web("i1"),)))
    up = in_state(client, "i1", InstanceState.UP, 20)
    client.close()
    agent.end(signal.SIGKILL)
    seen = agent.command("doctor")  # the namespaces that it had ready
    assert (seen.returncode, "no agent runs here" in seen.stdout) == (1, True), seen
    assert agent.command("doctor", "--repair").returncode == 0
    check_found_and_repaired(agent, make_leftovers(agent))
    assert fetch(up.address) == 200
    client = agent.start()
    again = in_state(client, "i1", InstanceState.UP, 20)
    assert (again.restarts, again.address) == (0, up.address)
    assert agent.command("doctor").returncode == 0


def test_with_the_agent_stopped_and_everything_removed(agent: RealAgent) -> None:
    client = agent.start()
    eventually(client.health)
    assert agent.command("stop", "--all").returncode == 0
    clean = agent.command("doctor")
    assert (clean.returncode, "clean" in clean.stdout) == (0, True), clean
