"""Volumes and loop devices: names, and the kernel's structure."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.container.port import EngineError
from runtime.volumes import loop
from runtime.volumes.volumes import Volumes

pytestmark = pytest.mark.unit


def test_the_structure_has_the_kernels_size() -> None:
    config = loop._config(5, Path("/a/" + "x" * 100), readonly=True)
    assert len(config) == 304  # sizeof(struct loop_config)
    assert config[:4] == (5).to_bytes(4, "little")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "x" * 101, "a b"])
def test_names_that_could_be_paths_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(EngineError, match="volume name"):
        Volumes(tmp_path / "v", tmp_path / "m").open(1_000_000, name, 1, 1_001_000)
    assert list(tmp_path.iterdir()) == []


def test_a_tool_that_fails_is_quoted() -> None:
    with pytest.raises(EngineError, match=r"ls failed \(2\): .*no-such-file"):
        loop.run_tool("ls", "/no-such-file")
