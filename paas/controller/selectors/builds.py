"""Reading builds and their output.

In: a build.  Out: its row; its lines, stored or live.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from paas.controller import streams
from paas.controller.models import App, Build, BuildLog, Deployment
from paas.controller.redis_connection import RedisError, blocking_client
from paas.errors import NotFound

BLOCK_SECONDS = 2.0
READ_COUNT = 500


@dataclass(frozen=True)
class Outcome:
    """How a build and the deployment of its release ended."""

    ok: bool
    reason: str = ""


@dataclass(frozen=True)
class Output:
    """A step of a live stream: a line, a pause (both None), or the end."""

    line: str | None = None
    outcome: Outcome | None = None


def find_build(app: App, build_id: str) -> Build:
    try:
        found = app.builds.select_related("slug", "release", "user").filter(id=UUID(build_id)).first()
    except ValueError:
        found = None
    if found is None:
        raise NotFound(f"Couldn't find that build of {app.name}.", app=app.name, resource="build")
    return found


def outcome(build_id: UUID | str) -> Outcome | None:
    """Return how the whole push ended as the rows have it, or None while it goes on. The rows are the truth."""
    build = Build.objects.filter(id=build_id).first()
    if build is None:
        return Outcome(False, "the app was destroyed")
    if build.status in {Build.Status.PENDING, Build.Status.BUILDING}:
        return None
    if build.status != Build.Status.SUCCEEDED:
        return Outcome(False, build.message or f"the build was {build.status}")
    deployment = Deployment.objects.filter(release=build.release).first() if build.release else None
    if deployment is None or deployment.live_at or deployment.status == Deployment.Status.SUCCEEDED:
        return Outcome(True)
    if deployment.status == Deployment.Status.ACTIVE:
        return None
    return Outcome(False, deployment.message)


def follow(
    build_id: UUID | str,
    timeout: float = BLOCK_SECONDS,
    ended: Callable[[UUID | str], Outcome | None] = outcome,
) -> Iterator[Output]:
    """Yield lines as they are written until the end; a pause whenever `timeout` seconds bring nothing.

    `ended` says from the rows how it ended, None while it goes on.

    With Redis away the lines are lost but the end still comes, from the rows.
    """
    position, patience = "0", max(1, int(timeout * 1000))  # 0 would mean: for ever
    while True:
        try:
            batches = blocking_client().xread(
                {streams.build_log(build_id): position}, count=READ_COUNT, block=patience
            )
        except RedisError:
            time.sleep(min(timeout, 0.5))
            batches = None
        for entry_id, values in _entries(batches):
            position = entry_id
            if "end" in values:
                yield Output(outcome=Outcome(values["end"] == "ok", values.get("reason", "")))
                return
            yield Output(line=values["line"])
        if not batches:
            over = ended(build_id)
            connection.close()  # a stream lasts minutes; it must not hold a database connection for them
            if over is not None:
                yield Output(outcome=over)
                return
            yield Output()


def _entries(batches: Any) -> Iterator[tuple[str, dict[str, str]]]:
    for _, batch in batches or []:
        yield from batch


def kept_output(build: Build) -> str | None:
    """Return the output of a build whose push is over, byte for byte as it was streamed; None while it goes on."""
    stored = BuildLog.objects.filter(build=build).first()
    if stored is None or outcome(build.id) is None:
        return None
    return f"{stored.text}\n" if stored.text else ""


def build_output(build: Build) -> Iterator[str]:
    """Yield the whole output of a build: stored if it is over, else live until its deployment has ended."""
    stored = BuildLog.objects.filter(build=build).first()
    if stored is not None:
        yield from stored.text.removesuffix("\n").split("\n") if stored.text else ()  # no other ends a line
        return
    for step in follow(build.id):
        if step.line is not None:
            yield step.line
