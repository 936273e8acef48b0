"""200 deploys of 3 apps on one host: it holds what runs and what may be kept, and nothing dead."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "integration" / "runtime"))
sys.path.insert(0, str(Path(__file__).parent))

from agent_on_processes import AGENT_TOKEN, eventually
from fake_controller import FakeController
from test_agent_real import RealAgent, container

from runtime.client import AgentClient
from runtime.images import squashfs
from runtime.images.store import digest_of
from runtime.model import (
    HealthCheck,
    HealthKind,
    ImageRef,
    InstanceSpec,
    InstanceState,
    Rootfs,
    WantedState,
)
from tests import leftovers

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
APPS = ("one", "two", "three")
ROUNDS = 67  # of three deploys each: 201
KEPT_BYTES = 100_000  # room for a dozen of these slugs


class Frugal(RealAgent):
    """An agent that may keep little."""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "PAAS_AGENT_IMAGES_MAX_BYTES": str(KEPT_BYTES)}


@pytest.fixture
def controller() -> Iterator[FakeController]:
    fake = FakeController()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def agent(controller: FakeController) -> Iterator[Frugal]:
    home = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
    one = Frugal(home, controller.url)
    yield one
    if one.process and one.process.poll() is None:
        AgentClient(f"http://{(home / 'agent' / 'address').read_text()}", AGENT_TOKEN).stop()
        one.process.wait(30)
    assert one.leftovers() == []
    shutil.rmtree(home)


def offer_slug(controller: FakeController, folder: Path, text: str) -> ImageRef:
    """Make a slug that no other deploy has, and let the controller serve it."""
    source, file = folder / "source", folder / "slug"
    (source / "app").mkdir(parents=True, exist_ok=True)
    (source / "app" / "version").write_text(text)
    squashfs.pack(source, file)
    digest, size = digest_of(file)
    controller.files[f"/internal/images/{digest}"] = file.read_bytes()
    file.unlink()
    return ImageRef(digest=digest, size=size)


def deployed(app: str, number: int, slug: ImageRef) -> InstanceSpec:
    rootfs = Rootfs(layers=(slug,), host=True)
    script = f"grep -q '{app} {number}' /app/version && exec sleep 3600"
    spec = container(f"{app}-{number}", "/bin/sh", "-c", script, owner=app, rootfs=rootfs, grace_seconds=2.0)
    return InstanceSpec(container=spec, health=HealthCheck(kind=HealthKind.STEADY, steady_seconds=0.05))


def only_these_run(client: AgentClient, ids: set[str]) -> bool:
    told = {one.id: one.state for one in client.report().instances}
    rest = {state for id_, state in told.items() if id_ not in ids}
    return {told.get(id_) for id_ in ids} == {InstanceState.UP} and rest <= {InstanceState.STOPPED}


def stored(home: Path) -> dict[str, int]:
    """Images on the host's disk: digest and size."""
    return {f"sha256:{file.name}": file.stat().st_size for file in (home / "images" / "sha256").iterdir()}


def of_this_host(agent: Frugal) -> set[str]:
    """What the machine has of this agent's containers: supervisors, control groups of containers, veths."""
    tag = f"paas-{agent.tag}/"
    groups = (line for line in leftovers.cgroups() if tag in line)
    names = {line.rpartition("/")[2] for line in groups}
    names |= {line.partition(" -c ")[2].split()[0] for line in leftovers.processes() if f"/run/{tag}" in line}
    return names


def test_the_disk_holds_what_runs_and_what_is_kept(
    agent: Frugal, controller: FakeController, tmp_path: Path
) -> None:
    client = agent.start()
    running: set[str] = set()
    slugs: dict[str, ImageRef] = {}
    for number in range(ROUNDS):
        slugs = {app: offer_slug(controller, tmp_path, f"{app} {number}") for app in APPS}
        specs = tuple(deployed(app, number, slugs[app]) for app in APPS)
        client.put_wanted(WantedState(generation=number + 1, instances=specs))
        running = {spec.container.id for spec in specs}
        eventually(lambda ids=running: only_these_run(client, ids), 60, f"round {number}")
        if number % 20 == 19:
            client.prune()
    client.prune()

    kept = stored(agent.home)
    assert {slug.digest for slug in slugs.values()} <= kept.keys()
    assert len(APPS) <= len(kept) and sum(kept.values()) <= KEPT_BYTES
    assert {path.name for path in (agent.home / "c").iterdir()} == running
    eventually(lambda: of_this_host(agent) - {"_shims"} == running, 10, str(of_this_host(agent)))
    assert not list((agent.home / "exits").iterdir())
    assert client.doctor().findings == ()
    client.close()
