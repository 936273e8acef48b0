"""What is left of runs that are over: kept for a while, so that they can be looked into, and then gone.

In: how a run ended.  Out: the newest runs of a container, with first and last lines and usage, over kill -9 too.
The container itself, its mounts and its network are gone at once; this is a small file.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

import msgspec

from runtime.agent.store import write_atomic
from runtime.model import (
    ContainerSpec,
    EndedRun,
    HealthCheck,
    Inspection,
    RunConfig,
    Struct,
    decode,
    encode,
)

log = logging.getLogger(__name__)
RUNS_KEPT = 5  # of one container
CONTAINERS_KEPT = 500
GONE = "gone"


class Remains(Struct):
    """Of one container."""

    id: str
    owner: str
    name: str
    kind: str
    config: RunConfig
    runs: tuple[EndedRun, ...]  # newest first

    @property
    def at(self) -> float:
        return self.runs[0].exit.at if self.runs else 0.0


class Ended:
    """The folder. Read whole at the start; every change is written at once."""

    def __init__(self, folder: Path, keep_seconds: float) -> None:
        self._folder = folder
        self._keep = keep_seconds
        self._known = {one.id: one for one in _load(folder)}

    def note(self, spec: ContainerSpec, kind: str, run: EndedRun) -> None:
        """Keep how a run ended. Noting the same end again changes nothing."""
        before = self._known.get(spec.id)
        runs = before.runs if before else ()
        if any(one.exit.at == run.exit.at and one.run == run.run for one in runs):
            return
        kept = Remains(
            id=spec.id,
            owner=spec.owner,
            name=spec.name,
            kind=kind,
            config=before.config if before and not spec.argv else config_of(spec),
            runs=(run, *runs)[:RUNS_KEPT],
        )
        self._known[spec.id] = kept
        self._write(kept)

    def runs(self, container: str, now: float) -> tuple[EndedRun, ...]:
        """The newest first; none that is older than what is kept."""
        known = self._known.get(container)
        return tuple(run for run in known.runs if now - run.exit.at <= self._keep) if known else ()

    def find(self, container: str, now: float) -> Inspection | None:
        """Return what is known of a container that is gone."""
        known, runs = self._known.get(container), self.runs(container, now)
        if known is None or not runs:
            return None
        return Inspection(
            id=known.id,
            owner=known.owner,
            name=known.name,
            kind=known.kind,
            state=GONE,
            since=known.at,
            config=known.config,
            runs=runs,
        )

    def forget_old(self, now: float, living: Collection[str]) -> None:
        """Drop what was kept long enough, and the oldest when there is too much."""
        by_age = sorted(self._known.values(), key=lambda one: one.at)
        excess = len(by_age) - CONTAINERS_KEPT
        for place, one in enumerate(by_age):
            if now - one.at > self._keep or (place < excess and one.id not in living):
                del self._known[one.id]
                self._path(one.id).unlink(missing_ok=True)

    def _path(self, container: str) -> Path:
        return self._folder / f"{container}.json"

    def _write(self, kept: Remains) -> None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_atomic(self._path(kept.id), encode(kept), sync=False)
        except OSError as error:  # it is still known until the agent ends
            log.error("how %s ended cannot be stored: %s", kept.id, error)


def config_of(spec: ContainerSpec) -> RunConfig:
    """A spec without its secrets. Pure."""
    return RunConfig(
        rootfs=spec.rootfs,
        argv=spec.argv,
        cwd=spec.cwd,
        env=tuple(sorted(spec.env)),
        hostname=spec.hostname,
        port=spec.port,
        limits=spec.limits,
        network=spec.network,
        grace_seconds=spec.grace_seconds,
        tty=spec.tty,
        stdin=spec.stdin,
        sysctls=spec.sysctls,
        ulimits=spec.ulimits,
    )


def shown_health(check: HealthCheck) -> HealthCheck:
    """A check without the values of its headers, which may be credentials. Pure."""
    return msgspec.structs.replace(check, headers=dict.fromkeys(check.headers, ""))


def _load(folder: Path) -> list[Remains]:
    found = []
    for file in folder.glob("*.json") if folder.is_dir() else ():
        try:
            found.append(decode(file.read_bytes(), Remains))
        except (OSError, ValueError) as error:
            log.error("%s cannot be read and is dropped: %s", file, error)
            file.unlink(missing_ok=True)
    return found
