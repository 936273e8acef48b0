"""The private mount namespace, also where the agent itself lives in one that was made on any of the CPUs."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[3]
CPUS = sorted(os.sched_getaffinity(0))
SCRIPT = """
import os, sys
from pathlib import Path
from runtime.container.namespace import MountNamespace
home, cpu = Path(sys.argv[1]), int(sys.argv[2])
os.sched_setaffinity(0, {cpu})
inside = MountNamespace(home / "ns", home / "run", threads=1)
inside.open()
there = inside.call(os.readlink, "/proc/thread-self/ns/mnt")
assert there != os.readlink("/proc/self/ns/mnt")
seen = []
with inside.beside(lambda: seen.append(inside.call(os.readlink, "/proc/thread-self/ns/mnt"))):
    pass
assert seen == [there]
for block, side, told in ((1, 0, "ZeroDivisionError"), (0, 1, "KeyError"), (1, 1, "ZeroDivisionError")):
    try:
        with inside.beside({}.__getitem__ if side else len, "x"):
            block and 1 / 0
    except Exception as error:
        seen.append(type(error).__name__)
    assert seen[-1] == told
inside.close(remove=False)
again = MountNamespace(home / "ns", home / "run", threads=1)
again.open()
again.close(remove=True)
assert str(home) not in Path("/proc/self/mountinfo").read_text()
"""


@pytest.mark.parametrize(("made_on", "agent_on"), [*itertools.product(CPUS[:2], repeat=2)])
def test_it_is_made_adopted_and_removed_within_another(
    short_folder: Path, made_on: int, agent_on: int
) -> None:
    if os.geteuid() != 0:
        pytest.fail("namespaces need root: sudo script/test system")
    around = ("taskset", "-c", str(made_on), "unshare", "--mount", "--propagation", "private")
    command = (*around, sys.executable, "-c", SCRIPT, str(short_folder), str(agent_on))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
