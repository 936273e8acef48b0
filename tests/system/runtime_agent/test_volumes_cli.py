"""Volumes by the agent's own commands: made, filled, told full, backed up, kept, removed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "integration" / "runtime"))

from agent_on_processes import eventually

from runtime.client import AgentClient, AgentRefused
from runtime.model import (
    ContainerSpec,
    EventKind,
    HealthCheck,
    HealthKind,
    InstanceSpec,
    InstanceState,
    Rootfs,
    VolumeMount,
    VolumeSpec,
    WantedState,
)
from tests.system.runtime_agent.test_agent_real import RealAgent, agent, controller

pytestmark = pytest.mark.system
FILL = "echo kept >/data/f; dd if=/dev/zero of=/data/fill bs=64k 2>&1 | grep -o 'No space left.*'; exec sleep 600"


__all__ = ["agent", "controller"]


def instance(generation: int, *, running: bool) -> WantedState:
    container = ContainerSpec(
        id="db-1",
        owner="shop",
        name="db.1",
        rootfs=Rootfs(host=True),
        argv=("/bin/sh", "-c", FILL),
        grace_seconds=1,
        volumes=(VolumeMount(name="data", target="/data"),),
    )
    health = HealthCheck(kind=HealthKind.STEADY, steady_seconds=0.1)
    wanted = (InstanceSpec(container=container, health=health),) if running else ()
    return WantedState(generation=generation, instances=wanted)


def state_of(client: AgentClient) -> InstanceState | None:
    return next((one.state for one in client.report().instances if one.id == "db-1"), None)


def test_a_life_of_a_volume(agent: RealAgent, tmp_path: Path) -> None:
    client = agent.start()
    made = agent.command("volumes", "create", "shop/data", "--size", "16MiB")
    volume = made.stdout.split()[-1].rstrip(".")
    client.put_wanted(instance(1, running=True))
    eventually(lambda: state_of(client) is InstanceState.UP, 30)
    full = re.compile(
        r"Volume data is full: writes to it fail with ENOSPC \(1[56][.0-9]* MiB of 16 MiB\); delete"
    )
    eventually(lambda: any(full.match(one.message) for one in client.events().events), 30)
    eventually(lambda: full.search(" ".join(line.text for line in client.logs("db-1", follow=False))), 30)
    assert re.search(
        rf"{volume}  shop/data +1[56]\.\d MiB  16\.0 MiB .* db\.1\n", agent.command("volumes").stdout
    )
    refused = agent.command("volumes", "delete", "shop/data")
    assert refused.returncode == 1 and "in use by db.1 (db-1) and cannot be removed" in refused.stderr

    agent.command("volumes", "snapshot", "shop/data", "--name", "full")
    backup = tmp_path / "backup"
    with backup.open("wb") as file:
        environment = agent.environment
        command = [sys.executable, "-m", "runtime", "volumes", "export", volume]
        subprocess.run(command, env=environment, stdout=file, check=True, cwd=Path(__file__).parents[3])
    client.put_wanted(instance(2, running=False))
    eventually(lambda: not any(one.holders for one in client.volumes()), 30)
    assert "(orphan: its owner has no container here)" in agent.command("volumes").stdout

    assert "kept" in agent.command("volumes", "retain", volume).stdout
    assert "(retained)" in agent.command("volumes", "list").stdout
    assert f"{volume} is now shop/data" in agent.command("volumes", "give", volume, "shop/data").stdout
    pieces = (backup.read_bytes()[at : at + 65536] for at in range(0, backup.stat().st_size, 65536))
    copy = client.import_volume("v2", "shop", "copy", pieces)
    assert copy.size_bytes == 16 * 1024**2 and copy.used_bytes > 15 * 1024**2
    with pytest.raises(AgentRefused, match="cut short or was changed") as caught:
        client.import_volume("v3", "shop", "third", iter([backup.read_bytes()[:-10]]))
    assert caught.value.status == 400
    with pytest.raises(AgentRefused, match="cannot promise 15 TiB more"):
        client.create_volume(VolumeSpec(id="v4", owner="shop", name="huge", size_bytes=15 * 1024**4))
    clone = agent.command("volumes", "clone", "shop/data", "full", "shop/clone", "--size", "24MiB")
    assert clone.returncode == 0, clone.stderr
    assert [one.name for one in client.volumes()].count("clone") == 1

    for one in client.volumes():
        assert agent.command("volumes", "delete", one.id).returncode == 0
    assert client.volumes() == () and not any((agent.home / "data").iterdir())
    told = [one.message for one in client.events().events if one.kind is EventKind.VOLUME]
    assert any(message.startswith(f"volume data ({volume}): removed") for message in told)
    assert agent.command("doctor").returncode == 0
