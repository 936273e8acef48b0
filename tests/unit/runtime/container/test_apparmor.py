"""The AppArmor profile: its text, and that a kernel without AppArmor is never asked for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.container import apparmor
from runtime.container.bundle import Prepared, render
from runtime.model import ContainerSpec, Rootfs

pytestmark = pytest.mark.unit


def test_the_profile_has_the_platforms_name_and_denies_what_the_sandbox_denies() -> None:
    text = apparmor.render("p1")
    assert "profile paas-p1 flags=(attach_disconnected, mediate_deleted) {" in text
    assert "signal (send, receive) peer=paas-p1," in text
    for line in (
        "deny mount,",
        "deny ptrace (trace, tracedby),",
        "deny network packet,",
        "deny /sys/** wklx,",
    ):
        assert f"  {line}\n" in text
    assert "complain" not in text
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize(("text", "enabled"), [("Y\n", True), ("N\n", False), (None, False)])
def test_the_kernel_says_whether_it_has_it(tmp_path: Path, text: str | None, enabled: bool) -> None:
    file = tmp_path / "enabled"
    if text is not None:
        file.write_text(text)
    assert apparmor.is_enabled(file) is enabled


def test_config_json_names_it_only_where_it_is_loaded() -> None:
    spec = ContainerSpec(id="a", owner="o", name="n", rootfs=Rootfs(host=True), argv=("x",))
    without = Prepared(rootfs="/r", cgroup="/c", init="/i", uid_start=None)
    assert "apparmorProfile" not in render(spec, without)["process"]
    loaded = Prepared(rootfs="/r", cgroup="/c", init="/i", uid_start=None, apparmor="paas-p1")
    assert render(spec, loaded)["process"]["apparmorProfile"] == "paas-p1"
