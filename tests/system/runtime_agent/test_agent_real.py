"""`python -m runtime agent` with crun, conmon, namespaces and the firewall, on the host's own /usr."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "integration" / "runtime"))

from agent_on_processes import AGENT_TOKEN, Agent, eventually, in_state, status_of
from fake_controller import FakeController

from runtime.client import AgentClient
from runtime.model import (
    ContainerSpec,
    ExitReason,
    HealthCheck,
    HealthKind,
    InstanceSpec,
    InstanceState,
    JobInput,
    JobOutput,
    JobSpec,
    JobState,
    NetworkMode,
    Rootfs,
    Stream,
    WantedState,
)
from tests.system.runtime.bundles import change, make_bundle
from tests.system.runtime.records import record_of

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[3]


class RealAgent(Agent):
    def __init__(self, home: Path, controller: str) -> None:
        super().__init__(home, controller)
        self.tag = f"t{random.randrange(16**5):05x}"
        self.subnet = f"10.{random.randrange(100, 250)}.{random.randrange(256)}.0/24"

    @property
    def environment(self) -> dict[str, str]:
        # Only names the engine needs; the tests' own environment is not its business.
        return {**super().environment, "PAAS_AGENT_TAG": self.tag, "PAAS_AGENT_SUBNET": self.subnet}

    def start(self) -> AgentClient:
        address = self.home / "agent" / "address"
        address.unlink(missing_ok=True)
        with (self.home / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "runtime", "agent"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        eventually(lambda: address.exists() or self.process.poll() is not None, 30)
        assert self.process.poll() is None, self.log
        return AgentClient(f"http://{address.read_text()}", AGENT_TOKEN)

    @property
    def log(self) -> str:
        return (self.home / "agent.log").read_text()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "runtime", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def leftovers(self) -> list[str]:
        """Whatever of this platform the host still shows."""
        mounts = Path("/proc/self/mountinfo").read_text()
        links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
        found = [line for text in (mounts, links, tables) for line in text.splitlines() if self.tag in line]
        return found + [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/paas-{self.tag}")]


@pytest.fixture
def controller() -> Iterator[FakeController]:
    fake = FakeController()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def agent(controller: FakeController) -> Iterator[RealAgent]:
    home = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
    one = RealAgent(home, controller.url)
    yield one
    ended = one.process is not None and one.process.poll() is not None
    if ended and (one.leftovers() or any((home / "c").glob("*"))):
        one.start()
    if one.process and one.process.poll() is None:
        AgentClient(f"http://{(home / 'agent' / 'address').read_text()}", AGENT_TOKEN).stop()
        one.process.wait(20)
    assert one.leftovers() == []
    shutil.rmtree(home)


def container(id: str, *argv: str, **fields: object) -> ContainerSpec:
    defaults = {
        "owner": "app1",
        "name": "web.1",
        "rootfs": Rootfs(host=True),
        "cwd": "/",
        "grace_seconds": 5.0,
    }
    return ContainerSpec(id=id, argv=argv, **{**defaults, **fields})


def web(id: str) -> InstanceSpec:
    command = "exec /usr/bin/python3 -u -m http.server $PORT --directory /usr/share/doc"
    spec = container(id, "/bin/sh", "-c", command, env={"PORT": "8080"}, port=8080)
    return InstanceSpec(container=spec, health=HealthCheck(kind=HealthKind.HTTP, interval=1))


def fetch(address: str) -> int:
    with urllib.request.urlopen(f"http://{address}:8080/", timeout=3) as response:
        return response.status


def test_an_instance_serves_survives_the_agent_and_goes(agent: RealAgent, controller: FakeController) -> None:
    client = agent.start()
    began = time.monotonic()
    client.put_wanted(WantedState(generation=1, instances=(web("i1"),)))
    up = in_state(client, "i1", InstanceState.UP, 20)
    print(f"wanted to up: {time.monotonic() - began:.3f} s")
    assert fetch(up.address) == 200
    assert client.usage("i1").memory_bytes > 0
    eventually(lambda: "State changed from starting to up" in controller.texts("i1"))
    eventually(lambda: any("GET / HTTP" in text for text in controller.texts("i1")))

    agent.end(signal.SIGKILL)
    assert fetch(up.address) == 200
    client = agent.start()
    again = status_of(client, "i1")
    assert (again.state, again.address, again.restarts) == (InstanceState.UP, up.address, 0)
    assert fetch(up.address) == 200
    assert "i1" in agent.command("ps").stdout

    client.put_wanted(WantedState(generation=2))
    gone = in_state(client, "i1", InstanceState.STOPPED, 15)
    assert gone.last_exit.reason in (ExitReason.EXITED, ExitReason.SIGNALED)
    eventually(lambda: "Stopping all processes with SIGTERM" in controller.texts("i1"))


def test_a_killed_process_is_seen_at_once_and_started_again(agent: RealAgent) -> None:
    client = agent.start()
    client.put_wanted(WantedState(generation=1, instances=(web("i1"),)))
    in_state(client, "i1", InstanceState.UP, 20)
    pid = record_of(agent.home, "i1").pid
    began = time.time()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: (status := status_of(client, "i1")) and status.restarts == 1, 20)
    back = in_state(client, "i1", InstanceState.UP, 20)
    assert back.last_exit.code == 137
    assert back.last_exit.at - began < 1
    print(f"killed to up again: {back.since - began:.3f} s")


def test_memory_over_the_limit_is_told_as_such(agent: RealAgent, controller: FakeController) -> None:
    from runtime.model import Limits

    eat = "x = bytearray(200 * 1024 * 1024)"
    limits = Limits(memory_bytes=64 * 1024**2)
    client = agent.start()
    spec = container("j1", "/usr/bin/python3", "-c", eat, limits=limits, name="run.1")
    client.put_job(JobSpec(container=spec))
    status = client.job("j1", wait=30)
    assert (status.state, status.exit.reason) == (JobState.FAILED, ExitReason.OOM)
    eventually(lambda: any(text.startswith("Error R15") for text in controller.texts("j1")))


def test_a_build_makes_a_slug_that_an_instance_runs(agent: RealAgent, controller: FakeController) -> None:
    controller.files["/internal/builds/1/source"] = (
        b"print('from the slug', flush=True)\nimport time\ntime.sleep(60)\n"
    )
    command = (
        "echo '-----> Building' && mkdir -p /app && cp /tmp/source /app/main.py && echo cached > /cache/x"
        ' && echo \'{"types": ["worker"]}\' > /tmp/result.json'
    )
    client = agent.start()
    spec = container("b1", "/bin/sh", "-ec", command, name="build.1", network=NetworkMode.BUILD)
    began = time.monotonic()
    client.put_job(
        JobSpec(
            container=spec,
            inputs=(JobInput(path="/internal/builds/1/source", target="/tmp/source"),),
            output=JobOutput(directory="/app"),
            cache="build",
            cache_bytes=64 * 1024**2,
            result_path="/tmp/result.json",
        )
    )
    lines = [line.text for line in client.logs("b1") if line.stream is not Stream.SYSTEM]
    status = client.job("b1", wait=30)
    assert status.state is JobState.SUCCEEDED, (status, lines)
    print(f"build: {time.monotonic() - began:.3f} s, {status.timings}")
    assert lines == ["-----> Building"]
    assert status.result == '{"types": ["worker"]}\n'
    stored = controller.files[f"/internal/images/{status.slug.digest}"]
    assert len(stored) == status.slug.size and stored.startswith(b"hsqs")

    rootfs = Rootfs(layers=(status.slug,), host=True)
    worker = container("i1", "/usr/bin/python3", "/app/main.py", rootfs=rootfs, name="worker.1")
    health = HealthCheck(kind=HealthKind.STEADY, steady_seconds=0.5)
    client.put_wanted(WantedState(generation=1, instances=(InstanceSpec(container=worker, health=health),)))
    in_state(client, "i1", InstanceState.UP, 20)
    eventually(lambda: "from the slug" in controller.texts("i1"))
    assert not [line for line in controller.requests if line.startswith("GET /internal/images/")]


def test_a_job_goes_on_over_kill_9_of_the_agent(agent: RealAgent) -> None:
    client = agent.start()
    command = "for n in $(seq 1 20); do echo $n; sleep 0.1; done; mkdir -p /app; echo x > /app/x"
    spec = container("b1", "/bin/sh", "-ec", command, network=NetworkMode.BUILD)
    client.put_job(JobSpec(container=spec, output=JobOutput()))
    eventually(lambda: client.job("b1").state is JobState.RUNNING)
    agent.end(signal.SIGKILL)
    client = agent.start()
    numbers = [line.text for line in client.logs("b1") if line.stream is Stream.STDOUT]
    assert numbers == [str(n) for n in range(1, 21)]
    status = client.job("b1", wait=30)
    assert status.state is JobState.SUCCEEDED and status.slug, status


def test_the_command_line_runs_a_command_and_stops_the_host(agent: RealAgent) -> None:
    client = agent.start()
    ran = agent.command("run", "--", "/bin/sh", "-c", "id -u; echo oops >&2; exit 4")
    assert (ran.returncode, ran.stdout) == (4, "1000\n"), ran
    assert "oops" in ran.stderr
    assert agent.command("doctor").returncode == 0
    client.put_wanted(WantedState(generation=1, instances=(web("i1"),)))
    in_state(client, "i1", InstanceState.UP, 20)
    assert agent.command("stop", "--all").returncode == 0
    assert agent.process.wait(15) == 0
    assert agent.leftovers() == []
    assert "does not answer" in agent.command("ps").stderr


def test_the_idle_agent_is_small(agent: RealAgent) -> None:
    agent.start()
    rollup = Path(f"/proc/{agent.process.pid}/smaps_rollup").read_text()
    kilobytes = int(next(line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")))
    print(f"idle agent: {kilobytes / 1024:.1f} MB PSS")
    assert kilobytes < 50 * 1024  # 46 with Python 3.13 and no other Python on the machine to share with


def test_an_instance_whose_supervisor_was_killed_is_replaced(agent: RealAgent) -> None:
    client = agent.start()
    client.put_wanted(WantedState(generation=1, instances=(web("i1"),)))
    first = in_state(client, "i1", InstanceState.UP, 20)
    os.kill(record_of(agent.home, "i1").conmon_pid, signal.SIGKILL)
    eventually(lambda: (status := status_of(client, "i1")) and status.restarts == 1, 20)
    second = in_state(client, "i1", InstanceState.UP, 20)
    assert (second.last_exit.reason, second.started_at > first.started_at) == (ExitReason.LOST, True)
    assert fetch(second.address) == 200


def test_a_bundle_runs_from_the_command_line(agent: RealAgent, tmp_path: Path) -> None:
    agent.start()
    bundle = make_bundle(tmp_path / "bundle")
    change(bundle, "sh", "-c", "cat /etc/motto; id -u; exit 4")
    for runtime in ("crun", "runc"):
        ran = agent.command("run", "--bundle", str(bundle), "--runtime", runtime)
        assert (ran.returncode, ran.stdout) == (4, "from the bundle\n0\n"), ran.stderr
    refused = agent.command("run", "--bundle", str(bundle), "--runtime", "runsc")
    assert "The runtime 'runsc' is not installed on this host" in refused.stderr
    assert refused.returncode == 125
    neither = agent.command("run")
    assert (neither.returncode, "or run --bundle DIR" in neither.stderr) == (2, True)
