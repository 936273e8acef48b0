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
    next_step: str
    ended: bool = False

    def id_for(self, said: str) -> str:
        """Return the error's id, when the builder itself gave it the id `said`."""
        return self.error_id if self.ended or said in VAGUE else said


def limit_met(status: JobStatus) -> Met | None:
    """Return the limit that a failed build ran into; None when it was something else."""
    limits, reason = specs.build_limits(), status.exit.reason if status.exit else None
    if reason is ExitReason.TIMEOUT:
        words = f"the build took longer than {settings.PAAS.build_timeout} seconds and was stopped"
        return Met(
            "build_timeout", words, "Its last lines say where it stood; correct that and push again.", True
        )
    if reason is ExitReason.OOM or LimitKind.MEMORY in status.limits_met:
        megabytes = limits.memory_bytes // MEBIBYTE
        words = f"the build needed more than its {megabytes} MB of memory, and the process was stopped"
        return Met(
            "build_memory",
            words,
            "Do less at once, for example with fewer workers.",
            reason is ExitReason.OOM,
        )
    if LimitKind.PROCESSES in status.limits_met:
        words = f"the build hit its limit of {limits.pids} processes and threads"
        return Met("build_processes", words, "Start fewer at once, for example with `make -j2`.")
    if LimitKind.TEMPORARY in status.limits_met:
        words = f"/tmp of the build is full ({limits.tmp_bytes // MEBIBYTE} MB)"
        return Met("build_disk_full", words, "Write large files below the app's folder.")
    return None
