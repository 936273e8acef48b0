"""How the last deploy of an app goes, phase by phase.

In: an app's newest build and newest deployment.  Out: one frozen `Progress`, or None before the first deploy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from paas.controller.models import App, Build, Deployment

# In the order in which they happen; a phase that nobody timed is not shown.
PHASES = (
    "receive",
    "queue",
    "fetch",
    "build",
    "package",
    "upload",
    "release",
    "pull",
    "start",
    "boot",
    "health",
    "cutover",
    "drain",
)
BUILD_AHEAD = ("queue", "build", "start", "cutover", "drain")
DEPLOY_AHEAD = ("start", "cutover", "drain")
WORDS = {
    "receive": "Receive",
    "queue": "Queue",
    "fetch": "Fetch source",
    "build": "Build",
    "package": "Package",
    "upload": "Store",
    "release": "Release",
    "pull": "Pull",
    "start": "Start, health",
    "boot": "Boot",
    "health": "Health check",
    "cutover": "Cut over",
    "drain": "Drain old",
}


@dataclass(frozen=True)
class PhaseRow:
    """`state`: done, active, waiting or failed. `since` is set while it runs, `seconds` once it is over."""

    name: str
    words: str
    state: str
    seconds: float | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class Progress:
    """`status`: running, live, failed, superseded or cancelled."""

    title: str
    status: str
    at: datetime
    phases: tuple[PhaseRow, ...]
    message: str = ""
    error_id: str = ""
    version: int | None = None
    build_id: UUID | None = None
    cancellable: bool = False

    @property
    def running(self) -> bool:
        return self.status == "running"

    @property
    def total(self) -> float:
        return sum(phase.seconds or 0 for phase in self.phases)


def progress(app: App) -> Progress | None:
    """Return what the last deploy does: its build as long as no deployment has followed, then the deployment."""
    build = app.builds.order_by("-created_at").first()
    deployment = app.deployments.select_related("release").order_by("-created_at").first()
    if build is not None and (deployment is None or build.created_at > deployment.created_at):
        return of_build(build)
    return of_deployment(deployment) if deployment else None


BUILD_STATUS = {
    Build.Status.PENDING: "running",
    Build.Status.BUILDING: "running",
    Build.Status.SUCCEEDED: "running",  # its release is on its way
    Build.Status.FAILED: "failed",
    Build.Status.CANCELLED: "cancelled",
}


def of_build(build: Build) -> Progress:
    status = BUILD_STATUS[Build.Status(build.status)]
    current = {"pending": "queue", "building": "build"}.get(build.status, "")
    failed = _last(build.timings) or "build" if status == "failed" else ""
    since = build.started_at or build.created_at
    return Progress(
        title=f"Build of {build.commit[:7]}" if build.commit else "Build",
        status=status,
        at=build.finished_at or build.created_at,
        phases=phase_rows(build.timings, current, since, failed, BUILD_AHEAD if status == "running" else ()),
        message=build.message,
        error_id=build.error_id,
        build_id=build.id,
        cancellable=build.status in {"pending", "building"} and not build.cancel_requested,
    )


DEPLOYMENT_STATUS = {
    Deployment.Status.ACTIVE: "running",
    Deployment.Status.SUCCEEDED: "live",
    Deployment.Status.FAILED: "failed",
    Deployment.Status.SUPERSEDED: "superseded",
    Deployment.Status.CANCELLED: "cancelled",
}


def of_deployment(deployment: Deployment) -> Progress:
    build = deployment.release.builds.first()
    status = DEPLOYMENT_STATUS[Deployment.Status(deployment.status)]
    running = status == "running"
    return Progress(
        title=f"v{deployment.release.version}: {deployment.release.description}",
        status=status,
        at=deployment.live_at or deployment.finished_at or deployment.created_at,
        phases=phase_rows(
            {**(build.timings if build else {}), **deployment.timings},
            deployment.phase if running else "",
            deployment.phase_since,
            deployment.phase if status == "failed" else "",
            DEPLOY_AHEAD if running else (),
        ),
        message=deployment.message,
        error_id=deployment.error_id,
        version=deployment.release.version,
        build_id=build.id if build else None,
    )


def phase_rows(
    timings: Mapping[str, object], current: str, since: datetime, failed: str, ahead: tuple[str, ...]
) -> tuple[PhaseRow, ...]:
    """Return the phases that were timed, the one that runs, and those still to come, in order."""
    timed = {name: float(value) for name, value in timings.items() if isinstance(value, int | float)}
    names = set(timed) | {current, failed} | set(ahead)
    reached = PHASES.index(current) if current in PHASES else -1
    rows = []
    for name in sorted(names - {"", "done", "total"}, key=_rank):
        if name == current:
            rows.append(PhaseRow(name, _words(name), "active", since=since))
        elif name == failed:
            rows.append(PhaseRow(name, _words(name), "failed", timed.get(name)))
        elif name in timed:
            rows.append(PhaseRow(name, _words(name), "done", timed[name]))
        elif _rank(name)[0] > reached:
            rows.append(PhaseRow(name, _words(name), "waiting"))
    return tuple(rows)


def _rank(name: str) -> tuple[int, str]:
    return (PHASES.index(name) if name in PHASES else len(PHASES), name)


def _words(name: str) -> str:
    return WORDS.get(name, name.capitalize())


def _last(timings: Mapping[str, object]) -> str:
    return max((name for name in timings if name in PHASES), key=PHASES.index, default="")
