"""Is anything left on this host that nobody answers for?

In: a place and what its agent knows.  Out: a `DoctorReport`; with `repair` the leftovers are removed.

Things come and go while they are looked at, and the kernel frees interfaces late: only what is a leftover in every
look over some seconds counts. A clean host is told clean at the first look.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

from runtime.container.port import EngineError
from runtime.doctor import cni, disk, groups, loops, mounts, network, processes
from runtime.doctor.place import Known, Leftover, Place, merge
from runtime.model import DoctorReport, Finding

LOOKS = (processes.look, groups.look, mounts.look, network.look, cni.look, loops.look, disk.look)
SETTLE_SECONDS = 2.0
PAUSE_SECONDS = 0.25
LEAST_LOOKS = 3
ROUNDS = 3  # what one removal uncovers is removed in the next round
ERRORS = (OSError, EngineError, ValueError, KeyError, subprocess.SubprocessError)
Key = tuple[str, str]


def examine(place: Place, know: Callable[[], Known], *, repair: bool) -> DoctorReport:
    """Look, and with `repair` remove what was found. `know` tells what the agent knows at this moment."""
    left = _lasting(place, know)
    found, failed = dict(left), dict[Key, str]()
    for _ in range(ROUNDS if repair else 0):
        treatable = [one for one in left.values() if one.remedy is not None]
        if not treatable:
            break
        failed = {one.key: words for one in treatable if (words := _treat(one))}
        left = _lasting(place, know)
        found |= left
    findings = (
        Finding(
            kind=one.kind,
            name=one.name,
            problem=one.problem,
            repaired=key not in left,
            failed=failed.get(key, "") if key in left else "",
        )
        for key, one in found.items()
    )
    return DoctorReport(findings=tuple(findings))


def _lasting(place: Place, know: Callable[[], Known]) -> dict[Key, Leftover]:
    return lasting(lambda: _look(place, know))


def lasting(
    look: Callable[[], dict[Key, Leftover]], settle: float = SETTLE_SECONDS, pause: float = PAUSE_SECONDS
) -> dict[Key, Leftover]:
    """What stays a leftover for `settle` seconds and in `LEAST_LOOKS` further looks.

    On a busy machine a single look takes longer than all should, and sees much that is only on its way.
    """
    found, looks = look(), 0
    deadline = time.monotonic() + settle
    while found and (looks < LEAST_LOOKS or time.monotonic() < deadline):
        time.sleep(pause)
        again = look()
        found = {key: one for key, one in again.items() if key in found}
        looks += 1
    return found


def _look(place: Place, know: Callable[[], Known]) -> dict[Key, Leftover]:
    """One look at everything. Each part is judged by what was known before or is known now."""
    before, found = know(), dict[Key, Leftover]()
    for look in LOOKS:
        try:
            found |= {one.key: one for one in look(place, merge(before, know()))}
        except ERRORS as error:
            name = look.__module__.rpartition(".")[2]
            found["doctor", name] = Leftover("doctor", name, f"could not be looked at: {error}")
    return found


def _treat(one: Leftover) -> str:
    assert one.remedy is not None
    try:
        one.remedy()
    except ERRORS as error:
        return f"could not be removed: {error}"
    return ""
