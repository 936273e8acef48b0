"""The limits of a build, told when one of them is why it failed.

In: what the host says of a failed job.  Out: the error's stable id and its cause in words.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from paas.controller.selectors import specs
from paas.slugbuilder.errors import VAGUE
from runtime.model import ExitReason, JobStatus, LimitKind

MEBIBYTE = 1024**2


@dataclass(frozen=True)
class Met:
    """A limit that a failed build ran into. `ended`: it is what ended the build; else it may be the cause."""

    error_id: str
    words: str
    ended: bool = False

    def id_for(self, said: str) -> str:
        """Return the error's id, when the builder itself gave it the id `said`."""
        return self.error_id if self.ended or said in VAGUE else said


def limit_met(status: JobStatus) -> Met | None:
    """Return the limit that a failed build ran into; None when it was something else."""
    limits, reason = specs.build_limits(), status.exit.reason if status.exit else None
    if reason is ExitReason.TIMEOUT:
        seconds = settings.PAAS.build_timeout
        return Met(
            "build_timeout", f"the build took longer than {seconds} seconds and was stopped", ended=True
        )
    if reason is ExitReason.OOM or LimitKind.MEMORY in status.limits_met:
        needed = f"more than its {limits.memory_bytes // MEBIBYTE} MB of memory"
        words = f"the build needed {needed}, and the process was stopped"
        return Met("build_memory", words, ended=reason is ExitReason.OOM)
    if LimitKind.PROCESSES in status.limits_met:
        return Met("build_processes", f"the build hit its limit of {limits.pids} processes and threads")
    if LimitKind.TEMPORARY in status.limits_met:
        return Met("build_disk_full", f"/tmp of the build is full ({limits.tmp_bytes // MEBIBYTE} MB)")
    return None
