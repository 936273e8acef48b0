"""Work that ends: builds, one-offs, release phases.

In: nothing.  Out: types.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from runtime.model.base import Moment, Struct
from runtime.model.containers import ContainerSpec
from runtime.model.images import ImageRef
from runtime.model.instances import ExitInfo


class JobInput(Struct):
    """A file fetched from the controller (`path` is absolute there) and bound read-only at `target`."""

    path: str
    target: str


class JobOutput(Struct):
    """What to keep of a job that ended with 0: `directory` becomes a slug (squashfs), uploaded by digest.

    `dependencies`: the job's result (JSON) may name, in a list of that name, folders below `directory` that become
    images of their own, with all times 0: what is installed there stays the same image while the app's code changes.

    `keep_times`: files keep their times, which the job has set so that equal input gives equal bytes (web servers
    make ETags of them); else every time becomes 0.

    `offer`: folders of `directory` that the last job with this cache made images of are there again when it starts, as
    they were packed. The job takes them or moves them away: a folder that comes back unchanged is the same image.
    """

    directory: str = "/app"
    keep_times: bool = False
    dependencies: bool = False
    offer: bool = False


class JobSpec(Struct):
    """A container that runs once: a build, a release phase, a one-off. Times in seconds.

    `cache` names a persistent volume (one per app and use, at most `cache_bytes`) bound read-write at `/cache`.
    `result_path` names a small file (at most 1 MiB) whose text is returned as `JobStatus.result`.
    `attach_seconds` > 0: it starts when the first client attaches, which must be within that time, and is ended
    (HUP, TERM, KILL) when the last one has left.
    """

    container: ContainerSpec
    timeout: float = 1800.0
    inputs: tuple[JobInput, ...] = ()
    output: JobOutput | None = None
    cache: str = ""
    cache_bytes: int = 2 * 1024**3
    result_path: str = ""
    attach_seconds: float = 0.0


class JobState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    PACKAGING = "packaging"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class LimitKind(StrEnum):
    """What a container can run into without being ended by it."""

    PROCESSES = "processes"
    MEMORY = "memory"
    DISK = "disk"
    TEMPORARY = "temporary"


class JobStatus(Struct):
    """What a host says of one job. `timings` are seconds per step (fetch, create, run, package, upload).

    `layers` lie below the slug: images of the folders that the job named as dependencies. `uploaded` counts the bytes
    that the image store did not have yet. `limits_met`: of a failed one, the limits that something in it ran into.
    """

    id: str
    state: JobState
    since: Moment
    exit: ExitInfo | None = None
    result: str = ""
    slug: ImageRef | None = None
    layers: tuple[ImageRef, ...] = ()
    uploaded: Annotated[int, msgspec.Meta(ge=0)] = 0
    message: str = ""
    timings: dict[str, float] = {}
    limits_met: tuple[LimitKind, ...] = ()
