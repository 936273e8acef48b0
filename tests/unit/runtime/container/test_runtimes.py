"""Which OCI runtimes a host has, and which of them may be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.container import runtimes
from runtime.container.layout import Layout
from runtime.container.port import EngineError
from runtime.container.runtimes import Runtime, Runtimes, maker_of, problem_of, read_setting

pytestmark = pytest.mark.unit


def program(folder: Path, name: str) -> str:
    file = folder / name
    file.write_text(f"#!/bin/sh\necho {name} version 1.2\n")
    file.chmod(0o755)
    return str(file)


def test_the_setting() -> None:
    assert read_setting("") is None
    assert read_setting("none") == {}
    assert read_setting("runsc=/opt/runsc, other") == {"runsc": "/opt/runsc", "other": "other"}
    for wrong in ("runsc=bin/runsc", "Run SC", "a,,b"):
        with pytest.raises(ValueError, match="NAME=/PATH"):
            read_setting(wrong)


def test_the_default_goes_by_its_name_or_by_none(tmp_path: Path) -> None:
    layout = Layout(tmp_path, "t")
    known = Runtimes(layout, program(tmp_path, "crun"), {"sandbox": program(tmp_path, "wrap")})
    assert known.choose("") == known.choose("crun") == known.default
    assert known.default.state == "/run/paas-t/oci"
    assert known.choose("sandbox").state == "/run/paas-t/oci-sandbox"
    assert [(one.name, one.version, one.problem) for one in known.offered()] == [
        ("crun", "crun version 1.2", ""),
        ("sandbox", "wrap version 1.2", ""),
    ]
    with pytest.raises(EngineError, match="'runsc' is not installed on this host, which has crun, sandbox"):
        known.choose("runsc")


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "_KVM", tmp_path / "kvm")
    known = Runtimes(
        Layout(tmp_path, "t"),
        program(tmp_path, "crun"),
        {"runsc": str(tmp_path / "none"), "kata": program(tmp_path, "kata-runtime")},
    )
    with pytest.raises(EngineError, match="not an executable file on this host"):
        known.choose("runsc")
    with pytest.raises(EngineError, match="no /dev/kvm"):
        known.choose("kata")
    assert [bool(one.problem) for one in known.offered()] == [False, True, True]
    (tmp_path / "kvm").touch()
    assert known.choose("kata").name == "kata"


def test_a_virtual_machine_by_another_name_is_one_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "_KVM", tmp_path / "kvm")
    assert "virtual machines" in problem_of(Runtime(name="safe", path=program(tmp_path, "krun"), state="/s"))


def test_who_made_a_container_is_remembered(tmp_path: Path) -> None:
    layout = Layout(tmp_path, "t")
    (layout.records / "a").mkdir(parents=True)  # as an earlier version had it, which is seen outside too
    assert maker_of(layout, "a", "/usr/bin/crun") == Runtime(
        name="crun", path="/usr/bin/crun", state=str(tmp_path / "oci")
    )
    other = Runtime(name="runsc", path="/opt/runsc", state=str(tmp_path / "oci-runsc"))
    runtimes.remember(layout.bundle("a"), other)
    assert maker_of(layout, "a", "/usr/bin/crun") == other
