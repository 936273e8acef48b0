"""What the router starts goes before the apps: weight and slice, as the kernel says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from paas.router import precedence
from runtime import slices

PROGRAM = """
import os
from paas.router import precedence
precedence.take()
precedence.take_for_session(os.getpid())
os.execvp('sleep', ['sleep', '60'])
"""


def test_what_the_router_starts_has_its_weight_and_slice() -> None:
    """As root; the weight stays as it was for anybody else, and nothing fails."""
    child = subprocess.Popen([sys.executable, "-c", PROGRAM], start_new_session=True)
    try:
        _wait_until_executed(child)
        allowed = os.geteuid() == 0
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == (precedence.NICE if allowed else 0)
        session = Path(f"/proc/{child.pid}/autogroup")
        if allowed and session.exists():
            assert session.read_text().split()[-1] == str(precedence.NICE)
        assert slices.slice_of(child.pid) == (slices.slice_of(0) and slices.SHORTEST)
    finally:
        child.kill()
        child.wait()


def _wait_until_executed(child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while Path(f"/proc/{child.pid}/comm").read_text() != "sleep\n":
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
