"""An installation into a stack ends with whoever asked for it: no process, no mount, no loop device is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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


def sleepers(pid: str) -> set[str]:
    """The processes of a PID namespace, by that of one of them."""
    space = os.readlink(f"/proc/{pid}/ns/pid")
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "ns" / "pid") == space:
                found.add(entry.name)
        except OSError:
            continue
    return found


def test_it_ends_with_who_asked_for_it(tmp_path: Path) -> None:
    asking = subprocess.Popen([sys.executable, "-c", ASK, str(tmp_path)], cwd=ROOT)

    def inside() -> set[str] | None:
        own = os.readlink("/proc/self/ns/pid")
        for pid in naming(str(tmp_path)):
            try:
                if os.readlink(f"/proc/{pid}/ns/pid") != own and len(sleepers(pid)) > 1:
                    return sleepers(pid)
            except OSError:
                continue
        return None

    processes: set[str] = until(inside, 30, "the installation is at work")
    os.kill(asking.pid, signal.SIGKILL)
    asking.wait(10)
    until(lambda: not naming(str(tmp_path)), 20, "the script has ended")
    until(lambda: not any(Path("/proc", pid).exists() for pid in processes), 20, "so has what it started")
    assert list(tmp_path.iterdir()) == [], "the mount was its own"
