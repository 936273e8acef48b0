"""When to try again.

In: how often something failed in a row.  Out: seconds to wait. Pure.
"""

from __future__ import annotations

RESTART_STEPS = (0.0, 10.0, 30.0, 60.0, 120.0, 240.0, 300.0)
STEADY_SECONDS = 60.0


def restart_delay(failures: int) -> float:
    """Seconds before the restart that follows the `failures`-th failure in a row (1: the first, at once)."""
    return RESTART_STEPS[min(max(failures, 1), len(RESTART_STEPS)) - 1]


def count_failure(failures: int, up_seconds: float) -> int:
    """The failures in a row after a run that was up for `up_seconds`: a steady run starts the count anew."""
    return 1 if up_seconds >= STEADY_SECONDS else failures + 1


def retry_delay(attempt: int, *, first: float = 0.2, cap: float = 5.0) -> float:
    """Seconds before the next network try after `attempt` failures (1: the first), doubling up to `cap`."""
    return float(min(cap, first * 2 ** (min(max(attempt, 1), 32) - 1)))
