"""What the tests of the agent share: a real agent process, specs, waiting."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fake_controller import TOKEN

from runtime.client import AgentClient
from runtime.model import ContainerSpec, HealthCheck, HealthKind, InstanceSpec, InstanceStatus, Rootfs

AGENT_TOKEN = "agent-token-0123456789"
SCRIPT = Path(__file__).with_name("agent_process.py")


def eventually(condition: Callable[[], object], seconds: float = 10.0, what: str = "") -> object:
    """Wait until `condition()` is true; return what it returned."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, what or "the condition did not come true in time"
        time.sleep(0.01)


class Agent:
    """One agent on its own home; start and kill it as often as wanted."""

    def __init__(self, home: Path, controller: str) -> None:
        self.home = home
        self.controller = controller
        self.process: subprocess.Popen[bytes] | None = None
        for name, token in (("token", AGENT_TOKEN), ("controller-token", TOKEN)):
            (home / name).write_text(token)
            (home / name).chmod(0o600)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PAAS_AGENT_HOME": str(self.home),
            "PAAS_AGENT_LISTEN": "127.0.0.1:0",
            "PAAS_AGENT_HOST_ID": "h1",
            "PAAS_AGENT_TOKEN_FILE": str(self.home / "token"),
            "PAAS_AGENT_CONTROLLER": self.controller,
            "PAAS_AGENT_CONTROLLER_TOKEN_FILE": str(self.home / "controller-token"),
        }

    def start(self) -> AgentClient:
        address = self.home / "agent" / "address"
        address.unlink(missing_ok=True)
        with (self.home / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(SCRIPT)], env=self.environment, stdout=log, stderr=log
            )
        eventually(lambda: address.exists() or self.process.poll() is not None, 20)
        assert self.process.poll() is None, (self.home / "agent.log").read_text()
        return AgentClient(f"http://{address.read_text()}", AGENT_TOKEN)

    def end(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)
        self.process.wait(15)


def container(id: str, command: str, **fields: object) -> ContainerSpec:
    defaults = {"owner": "app1", "name": "web.1", "rootfs": Rootfs(host=True), "grace_seconds": 3.0}
    return ContainerSpec(id=id, argv=("/bin/sh", "-c", command), **{**defaults, **fields})


def web(id: str, port: int, command: str = "", **health: object) -> InstanceSpec:
    command = command or f"exec {sys.executable} -u -m http.server $PORT --bind 127.0.0.1"
    check = HealthCheck(**{"kind": HealthKind.HTTP, "interval": 0.2, **health})
    return InstanceSpec(container=container(id, command, port=port), health=check)


def worker(id: str, command: str) -> InstanceSpec:
    check = HealthCheck(kind=HealthKind.STEADY, steady_seconds=0.1)
    return InstanceSpec(container=container(id, command), health=check)


def status_of(client: AgentClient, id: str) -> InstanceStatus | None:
    return next((one for one in client.report().instances if one.id == id), None)


def in_state(client: AgentClient, id: str, state: str, seconds: float = 10.0) -> InstanceStatus:
    def reached() -> InstanceStatus | None:
        status = status_of(client, id)
        return status if status and status.state == state else None

    return eventually(reached, seconds, f"{id} did not become {state}: {status_of(client, id)}")
