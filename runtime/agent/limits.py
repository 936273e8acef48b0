"""Tells an app when it meets one of its limits: in its log, and as an event of the host.

In: what the engine sees every few seconds (`Strain`), and lost lines.  Out: sentences, each at most once a minute.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runtime.agent.holding import Holding
from runtime.agent.host import Host
from runtime.agent.instance import Context, Instance
from runtime.agent.job import Job
from runtime.agent.lifecycle import RUNNING
from runtime.agent.limits_met import FULL
from runtime.agent.yielding import Yielding
from runtime.container.port import Strain
from runtime.model import ContainerSpec, EventKind, InstanceState, JobState

log = logging.getLogger(__name__)
LOOK_SECONDS = 2.0
AGAIN_SECONDS = 60.0  # who goes on hitting a limit is told once a minute, with what was counted meanwhile
MEBIBYTE = 2**20
_AT_WORK = (JobState.RUNNING, JobState.PACKAGING)


@dataclass(frozen=True)
class Seen:
    """What was last said of a container: the counters then, and when each kind of sentence was written."""

    counted: Strain
    lost: int = 0
    said: Mapping[str, float] = field(default_factory=dict)


def judge(seen: Seen, now: Strain, lost: int, clock: float) -> tuple[Seen, tuple[str, ...]]:
    """Return the sentences that are due. `lost`: lines dropped from its output so far. Pure."""
    before = seen.counted
    due = {
        "pids": _refused(now.forks_refused - before.forks_refused, now.pids),
        "memory": _killed(now.memory_kills - before.memory_kills, now.memory_bytes),
        "files": f"A process hit its limit of {now.nofile} open files" if now.open_files else "",
        "layer": _full("The writable layer", now.layer_used, now.layer_size),
        "tmp": _full("/tmp", now.tmp_used, now.tmp_size),
        "forged": _forged(now.forged - before.forged),
        "lost": _lost(lost - seen.lost),
    }
    said = {
        kind: text
        for kind, text in due.items()
        if text and clock - seen.said.get(kind, -AGAIN_SECONDS) >= AGAIN_SECONDS
    }
    # A counter goes on from where it was last told, so that nothing is left out of the next sentence.
    counted = Strain(
        id=now.id,
        forks_refused=_step("pids", due, said, before.forks_refused, now.forks_refused),
        memory_kills=_step("memory", due, said, before.memory_kills, now.memory_kills),
        forged=_step("forged", due, said, before.forged, now.forged),
    )
    told = Seen(
        counted, _step("lost", due, said, seen.lost, lost), {**seen.said, **dict.fromkeys(said, clock)}
    )
    return told, tuple(said.values())


def _step(kind: str, due: Mapping[str, str], said: Mapping[str, str], before: int, now: int) -> int:
    return before if due[kind] and kind not in said else now


def _refused(count: int, limit: int) -> str:
    return (
        f"It hit its limit of {limit} processes: {_times(count)} it could not make another"
        if count > 0
        else ""
    )


def _killed(count: int, limit: int) -> str:
    noun = "process was" if count == 1 else "processes were"
    return f"{count} {noun} stopped at its limit of {limit // MEBIBYTE} MiB of memory" if count > 0 else ""


def _full(what: str, used: int, size: int) -> str:
    return f"{what} is full ({size // MEBIBYTE} MiB)" if size and used >= size * FULL else ""


def _forged(count: int) -> str:
    noun, verb = ("packet", "was") if count == 1 else ("packets", "were")
    return f"{count} {noun} with a source address that is not its own {verb} dropped" if count > 0 else ""


def _lost(count: int) -> str:
    return (
        f"{count} {'line' if count == 1 else 'lines'} of its output were lost: it writes too much"
        if count > 0
        else ""
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _running(known: Mapping[str, Instance | Job]) -> dict[str, ContainerSpec]:
    """Those with processes; who is stopping finishes its last requests, and weighs what it did."""
    states = (*RUNNING, InstanceState.STOPPING, *_AT_WORK)
    return {id_: one.spec.container for id_, one in known.items() if one.status.state in states}


class LimitWatch:
    """One task, `run`. `lost` counts the lines of each container that were dropped."""

    def __init__(self, host: Host, context: Context, lost: Mapping[str, int]) -> None:
        self._host, self._context, self._lost = host, context, lost
        self._seen: dict[str, Seen] = {}
        self._yielding, self._holding = Yielding(context.calls), Holding(context.calls)
        self._looked_at = time.monotonic()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look()
            except Exception:
                log.exception("the limits of containers could not be looked at")

    async def _look(self) -> None:
        strains, clock = await self._context.calls.strains(), time.monotonic()
        known: dict[str, Instance | Job] = {**self._host.instances, **self._host.jobs}
        self._seen = {id_: seen for id_, seen in self._seen.items() if id_ in known}
        running, seconds = _running(known), clock - self._looked_at
        self._looked_at = clock
        await self._yielding.look(strains, running)
        for id_, text in (await self._holding.look(strains, running, seconds)).items():
            self._tell(known[id_].spec.container, (text,))
        for now in strains:
            if supervisor := known.get(now.id):
                seen = self._seen.get(now.id, Seen(Strain(id=now.id)))
                self._seen[now.id], sentences = judge(seen, now, self._lost.get(now.id, 0), clock)
                self._tell(supervisor.spec.container, sentences)

    def _tell(self, one: ContainerSpec, sentences: Iterable[str]) -> None:
        for text in sentences:
            self._context.logs.system(one.id, text)
            self._context.events.add(
                EventKind.LIMIT, container=one.id, owner=one.owner, name=one.name, message=text
            )
