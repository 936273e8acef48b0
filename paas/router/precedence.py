"""The router goes before the apps for whom it works.

In: the calling process.  Out: what it starts in a session of its own weighs more than all containers together.

It is about how soon, as HAProxy uses little: who has just had the processor, if only to pass on a packet, is ahead of
whoever weighs more, and waits up to a tick of the kernel (4 ms) while a busy app runs. Not being allowed to is no
reason to fail.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from runtime import slices

NICE = -12  # the weight of fifteen usual processes; all containers have that of four


def take() -> None:
    """Give the calling thread, and what it starts, the router's nice value and the shortest slice."""
    slices.shorten(0)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)


def take_for_session(pid: int) -> None:
    """Give a session the same weight, where the kernel weighs sessions (autogroups) and not processes."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(NICE))
