"""The limits of a build, told when one of them is why it failed.

In: what the host says of a failed job.  Out: the error's stable id and its cause in words.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from paas.controller.selectors import specs
from runtime.model import ExitReason, JobStatus, LimitKind

MEBIBYTE = 1024**2


@dataclass(frozen=True)
class Met:
    """A limit that ended a build or something in it."""

    error_id: str
    words: str


def limit_met(status: JobStatus) -> Met | None:
    """Return the limit that a failed build ran into; None when it was something else."""
    limits, reason = specs.build_limits(), status.exit.reason if status.exit else None
    if reason is ExitReason.TIMEOUT:
        seconds = settings.PAAS.build_timeout
        return Met("build_timeout", f"the build took longer than {seconds} seconds and was stopped")
    if reason is ExitReason.OOM or LimitKind.MEMORY in status.limits_met:
        needed = f"more than its {limits.memory_bytes // MEBIBYTE} MB of memory"
        return Met("build_memory", f"the build needed {needed}, and the process was stopped")
    if LimitKind.PROCESSES in status.limits_met:
        return Met("build_processes", f"the build hit its limit of {limits.pids} processes and threads")
    if LimitKind.TEMPORARY in status.limits_met:
        return Met("build_disk_full", f"/tmp of the build is full ({limits.tmp_bytes // MEBIBYTE} MB)")
    return None
