"""Health over time: thresholds, the start period, what a request says, which limits can change."""

from __future__ import annotations

import pytest

from runtime.agent.checking import Counter, News
from runtime.agent.health import is_healthy, kind_of, render_request
from runtime.agent.live_limits import taken_over, to_apply
from runtime.agent.local import Local, changed, whole
from runtime.model import (
    ContainerSpec,
    HealthCheck,
    HealthKind,
    InstanceSpec,
    Limits,
    LimitsChange,
    Rootfs,
    WantedState,
)

pytestmark = pytest.mark.unit
H, S, D = News.HEALTHY, News.SICK, News.DEAD


@pytest.mark.parametrize(
    ("check", "answers", "news"),
    [
        (HealthCheck(), "+-+---+", [H, None, H, None, None, S, H]),
        (HealthCheck(healthy_threshold=2), "+-++---++", [None, None, None, H, None, None, S, None, H]),
        (HealthCheck(unhealthy_threshold=1), "-+-", [S, H, S]),
        (HealthCheck(unhealthy_threshold=2, restart_threshold=3), "-+---", [None, H, None, S, D]),
        (HealthCheck(restart_threshold=1), "-", [D]),
    ],
)
def test_thresholds(check: HealthCheck, answers: str, news: list[News | None]) -> None:
    counter = Counter(check)
    assert [counter.note(answer == "+", 100.0) for answer in answers] == news


def test_within_the_start_period_no_failure_counts() -> None:
    counter = Counter(HealthCheck(start_period=30, unhealthy_threshold=1, restart_threshold=2))
    assert [counter.note(False, age) for age in (1, 10, 29)] == [None, None, None]
    assert [counter.note(False, age) for age in (30, 31)] == [S, D]


def test_a_request_has_the_headers_asked_for_and_no_other_lines() -> None:
    check = HealthCheck(path="/up\r\nX: y", headers={"Host": "app.example", "X-Token": "a\r\nb: c"})
    lines = render_request(check, "10.0.0.1", 80).decode().split("\r\n")
    assert lines[0] == "GET /upX: y HTTP/1.1"
    assert "Host: app.example" in lines
    assert "X-Token: ab: c" in lines
    assert [line for line in lines if line.lower().startswith("host:")] == ["Host: app.example"]
    assert lines[-2:] == ["", ""]


@pytest.mark.parametrize(("status", "healthy"), [(199, False), (204, True), (299, True), (302, False)])
def test_only_the_statuses_asked_for(status: int, healthy: bool) -> None:
    assert is_healthy(f"HTTP/1.1 {status} X\r\n".encode(), (200, 299)) is healthy


def spec(**changes: object) -> InstanceSpec:
    fields = {"id": "i", "owner": "a", "name": "web.1", "rootfs": Rootfs(host=True), "argv": ("x",)}
    health = changes.pop("health", HealthCheck())
    return InstanceSpec(container=ContainerSpec(**(fields | changes)), health=health)


def test_a_command_needs_neither_port_nor_network() -> None:
    check = HealthCheck(kind=HealthKind.COMMAND, command=("true",))
    assert kind_of(spec(health=check), "") is HealthKind.COMMAND
    assert kind_of(spec(health=HealthCheck(kind=HealthKind.COMMAND)), "10.0.0.1") is HealthKind.STEADY


def test_of_another_spec_only_limits_and_environment_are_taken_over() -> None:
    new = spec(limits=Limits(pids=7), env={"A": "b"}, argv=("y",), name="web.2")
    taken = taken_over(spec(), new).container
    assert (taken.limits, taken.env, taken.argv, taken.name) == (Limits(pids=7), {"A": "b"}, ("x",), "web.1")


def test_what_is_fixed_when_a_container_is_made_is_no_change() -> None:
    assert to_apply(Limits(), Limits(tmp_bytes=1, writable_bytes=2, nofile=3)) is None
    assert to_apply(Limits(tmp_bytes=5), Limits(memory_bytes=7)) == Limits(memory_bytes=7, tmp_bytes=5)


def test_a_change_by_hand_names_what_it_changes() -> None:
    assert changed(Limits(cpu_cores=2.0), LimitsChange(pids=9)) == Limits(cpu_cores=2.0, pids=9)
    assert changed(Limits(cpu_cores=2.0), LimitsChange(cpu_cores=0)).cpu_cores is None


def test_what_a_host_runs_is_both_words_without_what_is_held() -> None:
    wanted = WantedState(generation=4, instances=(spec(id="a"), spec(id="b")))
    local = Local(instances=(spec(id="b", name="mine"), spec(id="c")), held=("a",))
    assert [(one.container.id, one.container.name) for one in whole(wanted, local).instances] == [
        ("b", "web.1"),
        ("c", "web.1"),
    ]
    assert local.without("c").ids() == {"b"}
    assert local.holding("a", held=False).held == ()
