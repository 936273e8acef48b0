"""Limits changed while a container runs: in force at once, and refused where the memory in use does not fit (DK14)."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.container.port import EngineError
from runtime.model import ExitReason, Limits
from tests.system.runtime.conftest import Host

pytestmark = pytest.mark.system
MIB = 1024**2
GROUPS = Path("/sys/fs/cgroup")

# Takes as much memory as the number on its input says, in MiB; keeps it.
EATER = """
import sys
held = []
print("ready", flush=True)
for line in sys.stdin:
    held.append(bytearray(int(line) * 1024 * 1024))
    print("took", line.strip(), flush=True)
"""


def limits(memory: int, **more: object) -> Limits:
    return Limits(**{"memory_bytes": memory * MIB, "pids": 64, "writable_bytes": 16 * MIB, **more})


def until(condition: Callable[[], object], what: str) -> object:
    deadline = time.monotonic() + 20
    while not (value := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
    return value


@dataclass
class Eater:
    """A container that does what it is told on its input."""

    host: Host
    id: str
    stdio: socket.socket

    def tell(self, number: int) -> None:
        self.stdio.send(f"{number}\n".encode())

    def eat(self, mebibytes: int, otherwise: str) -> None:
        self.tell(mebibytes)
        until(lambda: f"took {mebibytes}\n" in self.host.output(self.id), otherwise)


@contextmanager
def listening(host: Host, *argv: str, **more: object) -> Iterator[Eater]:
    container = host.start(*argv, stdin=True, **more)
    try:
        with host.engine.attach(container) as stdio:
            yield Eater(host, container, stdio)
    finally:
        host.engine.delete(container)


@pytest.fixture
def eater(host: Host) -> Iterator[Eater]:
    with listening(host, "/usr/bin/python3", "-c", EATER, limits=limits(64)) as one:
        until(lambda: "ready" in host.output(one.id), "it did not start")
        yield one


def test_more_memory_is_there_at_once_and_the_new_limit_holds(host: Host, eater: Eater) -> None:
    host.engine.update(eater.id, limits(256))
    eater.eat(128, "it did not get more memory than it began with")
    assert host.engine.usage(eater.id).memory_limit_bytes == 256 * MIB
    eater.tell(200)
    ended, _ = host.finish(eater.id)
    assert ended.reason is ExitReason.OOM
    assert "256 MiB" in ended.message


def test_less_memory_than_in_use_is_refused_and_kills_nothing(host: Host, eater: Eater) -> None:
    host.engine.update(eater.id, limits(256))
    eater.eat(128, "it did not get its memory")
    with pytest.raises(EngineError, match=r"do not fit in 64 MiB"):
        host.engine.update(eater.id, limits(64))
    assert host.engine.usage(eater.id).memory_limit_bytes == 256 * MIB
    assert host.engine.wait(eater.id, 0) is None
    eater.eat(50, "the refused limit is in force")
    host.engine.update(eater.id, limits(220))
    eater.tell(80)
    assert host.finish(eater.id)[0].reason is ExitReason.OOM


def test_file_cache_gives_way_to_a_lower_limit(host: Host) -> None:
    script = "cat /usr/bin/python3* /usr/lib/x86_64-linux-gnu/*.so* > /dev/null 2>&1; echo read; sleep 600"
    container = host.start("/bin/sh", "-c", script, limits=limits(256))
    try:
        until(lambda: "read" in host.output(container), "it did not read")
        host.engine.update(container, limits(32))
        assert host.engine.usage(container).memory_limit_bytes == 32 * MIB
        assert host.engine.wait(container, 0) is None
    finally:
        host.engine.delete(container)


def test_a_cpu_quota_is_in_force_at_once_and_goes_again(host: Host) -> None:
    container = host.start("/bin/sh", "-c", "while :; do :; done", limits=limits(64))
    try:

        def throttled() -> int:
            return host.engine.usage(container).cpu_throttled_periods

        assert throttled() == 0
        host.engine.update(container, limits(64, cpu_cores=0.1))
        until(throttled, "the quota is not in force")
        spent, began = host.engine.usage(container).cpu_seconds, time.monotonic()
        until(lambda: time.monotonic() - began > 1, "the clock stands still")
        share = (host.engine.usage(container).cpu_seconds - spent) / (time.monotonic() - began)
        assert share < 0.3  # a whole processor without it
        host.engine.update(container, limits(64))
        now = throttled()
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 0.5, "the clock stands still")
        assert throttled() - now <= 1
    finally:
        host.engine.delete(container)


def test_pids_are_counted_against_the_new_limit(host: Host) -> None:
    script = """
while read n; do for i in $(seq $n); do sleep 600 & done 2>/dev/null && echo forked $n || echo refused; done"""
    with listening(host, "/bin/bash", "-c", script, limits=limits(64, pids=40)) as forker:
        host.engine.update(forker.id, limits(64, pids=8))
        forker.tell(20)
        until(lambda: host.engine.usage(forker.id).pids >= 7, "it did not fork")
        assert host.engine.usage(forker.id).pids <= 8
