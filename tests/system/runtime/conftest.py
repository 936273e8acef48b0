"""Engines on this machine for tests: unique tag, subnet and home, and nothing left when a test module ends."""

from __future__ import annotations

import contextlib
import os
import random
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runtime.container.config import EngineConfig
from runtime.container.engine import CrunEngine
from runtime.container.port import EngineError
from runtime.model import ContainerSpec, ExitInfo, Limits, Rootfs
from runtime.network.rules import names_of

BLOCKED = "198.18.77.66"
HOST = Rootfs(host=True)


def make_config(**changes: Any) -> EngineConfig:
    """A configuration that no other platform or test on this machine has."""
    third = random.randrange(256)
    values: dict[str, Any] = {
        "home": Path(tempfile.mkdtemp(prefix="p", dir="/tmp")),
        "tag": f"t{secrets.token_hex(3)}",
        "subnet": f"10.{random.randrange(214, 250)}.{third}.0/26",
        "pool_size": 2,
        "blocked": (BLOCKED,),
    }
    return EngineConfig(**(values | changes))


def traces(config: EngineConfig) -> list[str]:
    """Everything of this platform that the machine still has."""
    names = names_of(config.tag)
    # Not "**": other platforms' groups vanish while they are walked through.
    places = (f"paas-{config.tag}", f"*/paas-{config.tag}")
    found = [str(path) for place in places for path in Path("/sys/fs/cgroup").glob(place)]
    found += [line for line in _words("ip", "-br", "link").splitlines() if line.startswith(names.veth)]
    found += [
        line for line in _words("nft", "list", "tables").splitlines() if line.endswith(f" {names.table}")
    ]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [line for line in mounts if str(config.home) in line or f"paas-{config.tag}" in line]
    found += [line for line in _words("losetup", "-a").splitlines() if str(config.home) in line]
    found += [str(path) for path in Path("/run").glob(f"paas-{config.tag}*")]
    found += _processes(str(config.home))
    return found


def _processes(home: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                state = re.search(r"State:\s+(\S)", (entry / "status").read_text())
            except OSError:
                continue
            if any(word.startswith(home.encode()) for word in words) and state and state[1] != "Z":
                found.append(f"process {entry.name} {words}")
    return found


def collect_orphans() -> None:
    """Do what init does for an agent that was killed in another process: collect those it had just started."""
    for name in _zombies("conmon", "crun"):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(int(name.split("/")[2]), os.WNOHANG)


def _zombies(*programs: str) -> list[str]:
    """Ended processes of `programs` that this process, their reaper, has not collected."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = entry.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if name in programs and rest.split()[:2] == ["Z", str(os.getpid())]:
            found.append(f"zombie {entry}")
    return found


def _words(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@dataclass
class Host:
    """An open engine with shorthands. `run` runs to the end and returns how it ended and what it printed."""

    engine: CrunEngine
    config: EngineConfig
    count: int = 0

    def spec(self, *argv: str, **changes: Any) -> ContainerSpec:
        self.count += 1
        limits = Limits(memory_bytes=128 * 1024**2, writable_bytes=32 * 1024**2, pids=64)
        values: dict[str, Any] = {"owner": "app-1", "rootfs": HOST, "limits": limits}
        values |= {"id": f"c{self.count}", "name": f"web.{self.count}", "argv": argv}
        return ContainerSpec(**(values | changes))

    def start(self, *argv: str, create: dict[str, Any] | None = None, **changes: Any) -> str:
        spec = self.spec(*argv, **changes)
        self.engine.create(spec, **(create or {}))
        self.engine.start(spec.id)
        return spec.id

    def finish(self, container: str, timeout: float = 120) -> tuple[ExitInfo, str]:
        ended = self.engine.wait(container, timeout)
        assert ended is not None, f"{container} still runs: {self.output(container)}"
        return ended, self.output(container)

    def run(self, *argv: str, create: dict[str, Any] | None = None, **changes: Any) -> tuple[ExitInfo, str]:
        container = self.start(*argv, create=create, **changes)
        try:
            return self.finish(container)
        finally:
            self.engine.delete(container)

    def shell(self, script: str, **changes: Any) -> tuple[ExitInfo, str]:
        return self.run("/bin/sh", "-c", script, **changes)

    def python(self, script: str, **changes: Any) -> tuple[ExitInfo, str]:
        return self.run("/usr/bin/python3", "-c", script, **changes)

    def output(self, container: str) -> str:
        pieces = []
        for line in self.engine.log_path(container).read_text(errors="replace").splitlines():
            _, _, kind, text = line.split(" ", 3)
            pieces.append(text + ("\n" if kind == "F" else ""))
        return "".join(pieces)


@pytest.fixture(scope="module")
def open_host() -> Iterator[Callable[..., Host]]:
    """Open engines; afterwards each is removed and must have left nothing."""
    if os.geteuid() != 0:
        pytest.fail("containers need root: sudo script/test system")
    hosts: list[Host] = []

    def build(config: EngineConfig | None = None, **changes: Any) -> Host:
        config = config or make_config(**changes)
        engine = CrunEngine(config)
        hosts.append(Host(engine, config))
        engine.open()
        return hosts[-1]

    yield build
    left = []
    for host in hosts:
        try:
            host.engine.open()
            host.engine.close(remove=True)
        except EngineError:
            continue
        left += traces(host.config)
        shutil.rmtree(host.config.home, ignore_errors=True)
    assert left + _zombies("conmon") == []


@pytest.fixture(scope="module")
def host(open_host: Callable[..., Host]) -> Host:
    """One engine for the module."""
    return open_host()
