"""systemd has nothing to say against the units that are written: of a joined machine, and of one box."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from paas.joined import membership, units
from paas.joined.membership import Membership
from paas.supervisor.layout import SOURCE, Layout

pytestmark = pytest.mark.integration

EDGE = Membership(
    controller="https://10.0.0.1:5444",
    host="11111111-1111-1111-1111-111111111111",
    name="second",
    address="10.0.0.2",
    port=5010,
    subnet="10.200.64.0/18",
    version="abc",
    router="22222222-2222-2222-2222-222222222222",
    router_port=5020,
    router_bind="0.0.0.0:80",
)


def verify(folder: Path) -> str:
    """What systemd would warn of. It looks up what units name in the folder of the unit too."""
    files = sorted(map(str, folder.iterdir()))
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return "\n".join(line for line in done.stderr.splitlines() if str(folder) in line or "paas" in line)


def test_of_a_joined_machine(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "home")
    layout.make_folders()
    for name in ("agent", "router"):
        for file in (
            membership.credentials(layout, name).machine,
            membership.credentials(layout, name).authority,
        ):
            file.write_text("x")
    folder = tmp_path / "units"
    folder.mkdir()
    assert units.write(layout, EDGE, folder) == ["paas-agent.service", "paas-router.service"]
    assert units.write(layout, EDGE, folder) == []
    assert verify(folder) == ""
    newer = replace(EDGE, subnet="10.200.128.0/18")
    assert units.write(layout, newer, folder) == ["paas-agent.service"]


def test_of_one_box(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("PAAS_HOME=/var/lib/paas\n")
    folder = tmp_path / "units"
    folder.mkdir()
    for template in (SOURCE / "deploy" / "systemd").iterdir():
        text = template.read_text().replace("@ROOT@", str(SOURCE)).replace("@ENV@", str(tmp_path / "env"))
        (folder / template.name).write_text(text)
    assert verify(folder) == ""


def test_what_is_wrong_would_be_told(tmp_path: Path) -> None:
    (tmp_path / "paas-agent.service").write_text("[Service]\nExecStart=/nowhere/python\nRestrat=always\n")
    assert "Restrat" in verify(tmp_path)
