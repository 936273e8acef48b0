"""Which stopped instances may be forgotten, and what counts as a healthy answer."""

from __future__ import annotations

import pytest

from runtime.agent.health import is_healthy, kind_of
from runtime.agent.host import acknowledged
from runtime.agent.metrics import ContainerUsage, render
from runtime.agent.store import InstanceRecord
from runtime.container.port import Usage
from runtime.model import (
    Capacity,
    ContainerSpec,
    HealthCheck,
    HealthKind,
    HostReport,
    InstanceSpec,
    InstanceState,
    InstanceStatus,
    JobState,
    Rootfs,
)

pytestmark = pytest.mark.unit


def record(state: InstanceState, at_generation: int | None) -> InstanceRecord:
    status = InstanceStatus(id="i1", state=state, since=0)
    return InstanceRecord(status=status, owner="a", name="web.1", stopped_at_generation=at_generation)


def report(generation: int, *states: InstanceState) -> HostReport:
    statuses = tuple(InstanceStatus(id="i1", state=state, since=0) for state in states)
    return HostReport(
        host="h",
        sequence=1,
        generation=generation,
        capacity=Capacity(memory_bytes=1, cpus=1),
        instances=statuses,
    )


STOPPED, UP = InstanceState.STOPPED, InstanceState.UP


@pytest.mark.parametrize(
    ("generation", "shown", "now", "forgotten"),
    [
        (4, (STOPPED,), record(STOPPED, 3), ["i1"]),
        (3, (STOPPED,), record(STOPPED, 3), []),  # the wanted state that dropped it: not acknowledged yet
        (4, (InstanceState.STOPPING,), record(STOPPED, 3), []),  # stopped after that report was made
        (4, (STOPPED,), record(UP, None), []),  # wanted again meanwhile
        (4, (), record(STOPPED, 3), []),
    ],
)
def test_stopped_ones_are_forgotten_once_reported_under_a_newer_wanted_state(
    generation: int, shown: tuple[InstanceState, ...], now: InstanceRecord, forgotten: list[str]
) -> None:
    assert acknowledged(report(generation, *shown), [now]) == forgotten


@pytest.mark.parametrize(
    ("line", "healthy"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.0 301 Moved\r\n", True),
        (b"HTTP/1.1 399\r\n", True),
        (b"HTTP/1.1 404 Not Found\r\n", False),
        (b"HTTP/1.1 500 Oops\r\n", False),
        (b"HTTP/1.1 100 Continue\r\n", False),
        (b"SSH-2.0-OpenSSH\r\n", False),
        (b"HTTP/1.1 abc\r\n", False),
        (b"", False),
    ],
)
def test_an_answer_from_200_to_399_is_healthy(line: bytes, healthy: bool) -> None:
    assert is_healthy(line) is healthy


@pytest.mark.parametrize(
    ("port", "address", "kind"),
    [(80, "10.0.0.1", HealthKind.HTTP), (None, "10.0.0.1", HealthKind.STEADY), (80, "", HealthKind.STEADY)],
)
def test_what_cannot_be_asked_is_only_watched(port: int | None, address: str, kind: HealthKind) -> None:
    container = ContainerSpec(
        id="i", owner="a", name="web.1", rootfs=Rootfs(host=True), argv=("x",), port=port
    )
    spec = InstanceSpec(container=container, health=HealthCheck(kind=HealthKind.HTTP))
    assert kind_of(spec, address) is kind


def test_metrics_text() -> None:
    usage = Usage(memory_bytes=5, memory_limit_bytes=10, cpu_seconds=1.5, pids=2)
    text = render([UP, UP], [JobState.FAILED], [ContainerUsage('i"1', "a", "web.1", usage)])
    lines = text.splitlines()
    assert 'paas_instances{state="up"} 2' in lines and 'paas_instances{state="crashed"} 0' in lines
    assert 'paas_jobs{state="failed"} 1' in lines
    assert 'paas_container_cpu_seconds_total{container="i\\"1",owner="a",name="web.1"} 1.5' in lines
    assert not [line for line in lines if "pressure" in line]  # this kernel does not tell
    assert text.endswith("\n") and lines.count("# TYPE paas_container_memory_bytes gauge") == 1
