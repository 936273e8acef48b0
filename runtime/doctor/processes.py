"""Supervisors and runtime processes that belong to no container.

In: the command lines of this host.  Out: leftovers; each is ended by its identity, never by its name.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runtime.container import process
from runtime.doctor.place import Known, Leftover, Place

PROGRAMS = ("conmon", "crun", "runc", "runsc", "kata-runtime", "krun")
END_SECONDS = 10.0


@dataclass(frozen=True)
class Process:
    """A process of this host. `words` is its command line without the program; `started` in clock ticks."""

    pid: int
    started: int
    program: str
    words: tuple[str, ...]


def look(place: Place, known: Known) -> Iterator[Leftover]:
    bundles = (str(place.layout.bundles), str(place.layout.records))
    states = tuple(map(str, (place.layout.state, *place.see(place.layout.states))))
    for one in _running():
        problem = judge(one, bundles, states, known)
        if problem:
            remedy = partial(process.end, one.pid, one.started, END_SECONDS)
            yield Leftover("process", f"{one.program} {one.pid}", problem, remedy)
    for pid, program in _zombies(os.getpid()):
        text = "has ended and nobody collected it"
        yield Leftover("process", f"{program} {pid}", text, partial(process.reap, pid))


def judge(one: Process, bundles: tuple[str, ...], states: tuple[str, ...], known: Known) -> str:
    """Say what is wrong with a process, '' when nothing is or it is none of ours. Pure."""
    folders = tuple(f"{folder}/" for folder in bundles)
    ours = any(word in states or word.startswith(folders) for word in one.words)
    if not ours or one.program not in PROGRAMS:
        return ""
    if not known.containers.intersection(one.words):
        container = _after(one.words, "-c") or (one.words[-1] if one.words else "")
        return f"works for container {container}, which does not exist"
    container = _after(one.words, "-c")
    supervisor = dict(known.supervisors).get(container)
    extra = one.program == "conmon" and "-e" not in one.words and supervisor not in (None, one.pid)
    return f"is a second supervisor of container {container}" if extra else ""


def _after(words: tuple[str, ...], option: str) -> str:
    return next((after for word, after in itertools.pairwise(words) if word == option), "")


def _running() -> Iterator[Process]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            program, *words = (entry / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        except OSError:
            continue
        name = os.fsdecode(program.rpartition(b"/")[2])
        if name in PROGRAMS:
            pid = int(entry.name)
            yield Process(pid, process.start_time(pid), name, tuple(os.fsdecode(word) for word in words))


def _zombies(parent: int) -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
            except OSError:
                continue
            if name in PROGRAMS and rest.split()[:2] == ["Z", str(parent)]:
                yield int(entry.name), name
