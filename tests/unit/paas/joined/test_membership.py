"""What a joined machine tells its agent and router, and its units."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from paas.joined import membership, units
from paas.joined.membership import Membership
from paas.joined.processes import processes
from paas.router.config import read_settings as read_router_settings
from paas.supervisor.layout import SOURCE, Layout
from runtime.config import read_settings

pytestmark = pytest.mark.unit
MEMBER = Membership(
    controller="https://10.0.0.1:5444",
    host="11111111-1111-1111-1111-111111111111",
    name="second",
    address="10.0.0.2",
    port=5010,
    subnet="10.200.64.0/18",
    version="abc",
)
EDGE = replace(
    MEMBER, router="22222222-2222-2222-2222-222222222222", router_port=5020, router_bind="0.0.0.0:80"
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    one = Layout(tmp_path / "home")
    one.make_folders()
    for name in ("agent", "router"):
        for file in (membership.credentials(one, name).machine, membership.credentials(one, name).authority):
            file.write_text("x")
    return one


def test_a_membership_is_read_as_it_was_written(layout: Layout) -> None:
    assert membership.read(layout) is None
    member = membership.with_settings(EDGE, {"PAAS_AGENT_OVERLAY": "vxlan"})
    membership.write(layout, member)
    assert membership.read(layout) == member
    membership.file_of(layout).write_text('{"controller": "https')
    assert membership.read(layout) is None


def test_the_agent_and_the_router_understand_what_they_are_told(layout: Layout) -> None:
    told = membership.agent_environment(
        layout, membership.with_settings(MEMBER, {"PAAS_AGENT_OVERLAY": "vxlan"})
    )
    settings = read_settings(told)
    assert (settings.host_id, settings.listen_host, settings.subnet) == (
        MEMBER.host,
        "10.0.0.2",
        "10.200.64.0/18",
    )
    assert (settings.overlay, settings.underlay, settings.version) == ("vxlan", "10.0.0.2", "abc")
    assert settings.credentials == membership.credentials(layout, "agent")
    assert settings.token == settings.controller_token == ""
    router = read_router_settings(membership.router_environment(layout, EDGE))
    assert (router.id, str(router.listen)) == (EDGE.router, "10.0.0.2:5020")


def test_who_the_machine_is_cannot_be_set_from_outside(layout: Layout) -> None:
    member = membership.with_settings(
        MEMBER, {"PAAS_AGENT_HOST_ID": "x", "PAAS_AGENT_CONTROLLER": "http://evil"}
    )
    told = membership.agent_environment(layout, member)
    assert (told["PAAS_AGENT_HOST_ID"], told["PAAS_AGENT_CONTROLLER"]) == (MEMBER.host, MEMBER.controller)


def test_settings_given_later_go_over_those_given_before() -> None:
    first = membership.with_settings(MEMBER, {"PAAS_AGENT_OVERLAY": "vxlan", "PAAS_AGENT_RUNTIME": "runc"})
    second = membership.with_settings(first, {"PAAS_AGENT_OVERLAY": "auto"})
    assert dict(second.settings) == {"PAAS_AGENT_OVERLAY": "auto", "PAAS_AGENT_RUNTIME": "runc"}


def test_a_router_runs_only_where_one_was_asked_for(layout: Layout) -> None:
    assert [one.name for one in processes(layout, MEMBER)] == ["agent"]
    assert [one.name for one in processes(layout, EDGE)] == ["agent", "router"]
    assert all(one.outlived for one in processes(layout, EDGE))


def test_units_are_written_once_and_again_when_something_changed(layout: Layout, tmp_path: Path) -> None:
    folder = tmp_path / "units"
    assert units.write(layout, EDGE, folder) == ["paas-agent.service", "paas-router.service"]
    assert units.write(layout, EDGE, folder) == []
    assert units.write(layout, replace(EDGE, version="def"), folder) == ["paas-agent.service"]
    text = (folder / "paas-agent.service").read_text()
    assert f"ExecStart={SOURCE}/.venv/bin/python -m runtime agent" in text
    assert "KillMode=process" in text
    settings = layout.home / "paas-agent.env"
    assert f"EnvironmentFile={settings}" in text
    assert settings.stat().st_mode & 0o077 == 0
    assert "PAAS_AGENT_VERSION=def\n" in settings.read_text()
