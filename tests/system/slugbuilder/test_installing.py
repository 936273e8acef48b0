"""An installation into a stack ends with whoever asked for it: no process, no mount, no loop device is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.platform import ROOT, until

pytestmark = pytest.mark.system

# As apt-get in the midst of its work: a process of its own session below the script that mounts.
ASK = """
import sys
from paas.slugbuilder.stack_making import ALONE, run
script = 'mount -t tmpfs none "$1" && touch "$1/inside" && setsid sleep 600'
run([*ALONE, "sh", "-c", script, "sh", sys.argv[1]], print, "installing")
"""


def naming(word: str) -> list[str]:
    """Processes whose command line names it."""
    return [one.name for one in Path("/proc").glob("[0-9]*") if word.encode() in _read(one / "cmdline")]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def alive(pid: str) -> str:
    """What tells a process from another that got its number later, '' for one that has ended."""
    fields = _read(Path("/proc", pid, "stat")).decode().rpartition(")")[2].split()
    return "" if not fields or fields[0] in "ZX" else fields[19]


def members(space: str) -> dict[str, str]:
    """The processes of a PID namespace, each with its start."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "ns" / "pid") == space:
                found[entry.name] = alive(entry.name)
        except OSError:
            continue
    return {pid: start for pid, start in found.items() if start}


def space_of(pid: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


@pytest.fixture
def ended(tmp_path: Path) -> Iterator[None]:
    """What a failing test would leave: with its first process a PID namespace ends."""
    yield
    for pid in naming(str(tmp_path)):
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def test_it_ends_with_who_asked_for_it(tmp_path: Path, ended: None) -> None:
    asking = subprocess.Popen([sys.executable, "-c", ASK, str(tmp_path)], cwd=ROOT)

    def inside() -> dict[str, str] | None:
        spaces = {space_of(pid) for pid in naming(str(tmp_path))} - {space_of("self"), ""}
        found = [members(space) for space in spaces]
        return found[0] if found and len(found[0]) > 1 else None

    processes: dict[str, str] = until(inside, 30, "the installation is at work")
    os.kill(asking.pid, signal.SIGKILL)
    asking.wait(10)
    until(lambda: not naming(str(tmp_path)), 20, "the script has ended")
    until(
        lambda: not any(alive(pid) == start for pid, start in processes.items()), 20, "so has what it started"
    )
    assert list(tmp_path.iterdir()) == [], "the mount was its own"
