"""The lines that a pusher sees, and the end of the build that tells it how the push went.

In: lines from workers.  Out: one Redis stream per build; the database keeps the whole text when it is over.
"""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import IntegrityError, transaction

from paas.controller import streams
from paas.controller.models import App, Build, BuildLog, Deployment, Release
from paas.controller.redis_connection import RedisError, client
from paas.controller.texts import storable

logger = logging.getLogger(__name__)

KEEP_SECONDS = 24 * 3600
MAX_LINES = 20_000
LINE_MAX = 10_000  # characters
SAID_WITHIN, SAID_WIDTH, SAID_LEAST = 40, 60, 8  # lines, characters, characters
LOG_MAX = 2 * 1024**2  # characters of stored output


def write(build_id: UUID | str, *lines: str) -> None:
    """Append lines. A Redis that is away costs the lines, never the build."""
    _append(build_id, [{"line": line} for line in lines])


def write_new(build_id: UUID | str, line: str) -> None:
    """Append a line unless it is the last one already."""
    try:
        last = client().xrevrange(streams.build_log(build_id), count=1)
    except RedisError:
        last = []
    if not last or last[0][1].get("line") != line:
        write(build_id, line)


def says(build_id: UUID | str, message: str) -> bool:
    """Tell whether one of the last lines has the beginning of a message already (long ones are wrapped)."""
    try:
        entries = client().xrevrange(streams.build_log(build_id), count=SAID_WITHIN)
    except RedisError:
        return False
    starts = (values.get("line", "").removeprefix(" !     ")[:SAID_WIDTH].lower() for _, values in entries)
    return any(len(start) >= SAID_LEAST and message.lower().startswith(start) for start in starts)


def write_at(build_id: UUID | str, cursor: int, line: str) -> None:
    """Append a line of the build container; its cursor lets the next worker continue behind it."""
    _append(build_id, [{"line": line, "cursor": str(cursor)}])


def finish(build_id: UUID | str, ok: bool, reason: str = "") -> None:
    """Tell the readers that the work is over."""
    _append(build_id, [{"end": "ok" if ok else "failed", "reason": reason}])


def _append(build_id: UUID | str, entries: list[dict[str, str]]) -> None:
    if not entries:
        return
    try:
        pipeline = client().pipeline(transaction=False)
        for entry in entries:
            pipeline.xadd(streams.build_log(build_id), entry, maxlen=MAX_LINES, approximate=True)
        pipeline.expire(streams.build_log(build_id), KEEP_SECONDS)
        pipeline.execute()
    except RedisError as error:
        logger.warning("%d lines of build %s were not streamed: %s", len(entries), build_id, error)


def say(deployment: Deployment, *lines: str) -> None:
    """Write lines to whoever waits for this deployment's build, after the commit."""
    build = _build(deployment)
    if build is not None:
        build_id = build.id
        transaction.on_commit(lambda: write(build_id, *lines), robust=True)


def hand_over(deployment: Deployment, release: Release) -> None:
    """A change of config or formation that overtakes a deploy takes its code along: the pusher waits for the change."""
    if deployment.release.slug_id != release.slug_id:
        return
    build = _build(deployment)
    if build is not None:
        build_id = build.id
        Build.objects.filter(id=build_id).update(release=release)
        line = (
            f"       v{release.version} ({release.description}) takes over from v{deployment.release.version}"
        )
        transaction.on_commit(lambda: write(build_id, line), robust=True)


def deployed(deployment: Deployment) -> None:
    """The release is live: every router has it."""
    build = _build(deployment)
    if build is None:
        return
    from paas.controller.selectors.apps import web_url

    build_id, version = build.id, deployment.release.version
    has_web = bool(deployment.release.formation.get("web", {}).get("quantity"))
    tail = (
        f"       {web_url(deployment.app)} deployed to paas"
        if has_web
        else "       Deployed (no web process runs)"
    )
    lines = (f"       Released v{version}{_took(build, deployment)}", tail, "")
    transaction.on_commit(lambda: _close(build_id, lines, ok=True), robust=True)


def _took(build: Build, deployment: Deployment) -> str:
    """Return how long the push took, phase by phase, slow or fast: ` after 1.3 s (receive 0.1, build 0.6, ...)`."""
    phases = {**build.timings, **deployment.timings}
    shown = ", ".join(f"{name} {seconds:.1f}" for name, seconds in phases.items() if seconds >= 0.05)
    return f" after {sum(phases.values()):.1f} s ({shown})" if phases else ""


def _close(build_id: UUID, lines: tuple[str, ...], ok: bool, reason: str = "") -> None:
    write(build_id, *lines)
    finish(build_id, ok=ok, reason=reason)
    keep(build_id)


def keep(build_id: UUID) -> None:
    """Store what has been written so far, for replay. Repeated when the deployment adds its lines."""
    written = _read(build_id)
    if written is None:
        return
    try:
        with transaction.atomic():  # at its end the database looks whether the build is still there
            defaults = {"text": storable(written[-LOG_MAX:])}
            BuildLog.objects.update_or_create(build_id=build_id, defaults=defaults)
    except IntegrityError:
        logger.info("The output of build %s is not kept: its app was destroyed", build_id)


def _read(build_id: UUID | str) -> str | None:
    try:
        entries = client().xrange(streams.build_log(build_id))
    except RedisError as error:
        logger.warning("The output of build %s cannot be kept: %s", build_id, error)
        return None
    return "\n".join(values["line"] for _, values in entries if "line" in values)


def text(build_id: UUID | str) -> str:
    """Return what has been written so far, '' when Redis does not say."""
    return storable(_read(build_id) or "")


def failed(deployment: Deployment, message: str) -> None:
    build = _build(deployment)
    if build is None:
        return
    build_id = build.id
    lines = (
        f" !     Release v{deployment.release.version} failed: {message}",
        " !     The old release keeps serving."
        if _serves(deployment.app)
        else " !     Nothing has been deployed yet.",
        "",
    )
    transaction.on_commit(lambda: _close(build_id, lines, ok=False, reason=message), robust=True)


def _serves(app: App) -> bool:
    return app.current_release is not None and app.current_release.slug_id is not None


def _build(deployment: Deployment) -> Build | None:
    return Build.objects.filter(release_id=deployment.release_id).first()
