"""A build that fills its disk fails with words, and never breaks the builds after it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.slugbuilder.tree_cache import make_room
from tests.integration.slugbuilder.builds import build

pytestmark = pytest.mark.system
DISK = "16m"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with little room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "small", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def greedy(tmp_path: Path) -> Path:
    """A Node app whose build script writes until there is no room, down to the last byte."""
    package = {
        "name": "greedy",
        "version": "1.0.0",
        "scripts": {"build": "cat /dev/zero > big", "start": "node ."},
    }
    lock = {"name": "greedy", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": package}}
    source = tmp_path / "greedy"
    source.mkdir()
    (source / "package.json").write_text(json.dumps(package))
    (source / "package-lock.json").write_text(json.dumps(lock))
    return source


def test_the_failure_names_the_disk(disk: Path, greedy: Path) -> None:
    built = build(greedy, disk)
    assert built.code == 1
    assert "The build's disk of 16 MB is full." in built.output
    assert built.result["error"]["id"] == "build_disk_full"
    assert "disk of 16 MB is full" in built.result["error"]["message"], "the result found room, too"


def test_a_cache_filled_by_the_app_is_emptied(disk: Path) -> None:
    (disk / "npm").mkdir()
    (disk / "npm" / "kept").write_bytes(b"x" * 1024)
    (disk / "lost+found").mkdir()
    with (disk / "big").open("wb") as big:
        big.write(b"\1" * 15 * 1024**2)
    (disk / "link").symlink_to("/etc")
    assert make_room(disk)
    assert [entry.name for entry in disk.iterdir()] == ["lost+found"]
    assert Path("/etc/passwd").exists()
    assert not make_room(disk), "there is room now"


def test_what_the_app_keeps_stays_as_long_as_ours_makes_room(disk: Path) -> None:
    (disk / "uv").mkdir()
    (disk / "uv" / "wheels").write_bytes(b"\1" * 15 * 1024**2)
    (disk / "own").write_text("an app's own")
    assert make_room(disk)
    assert [entry.name for entry in disk.iterdir()] == ["own"]
