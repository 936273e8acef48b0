#!/usr/bin/env python3
"""What the shortest slice of the scheduler costs those who take all they can get: two hogs per processor, in turns with
the kernel's own slice.

In: nothing, root is not needed.  Out: work done per second and per second of processor time, how often a hog was
made to wait, and the ratio to the default slice; wanted is a loss of at most 5 %.

A hog reads half a mebibyte over and over, so that what it loses of the processor's caches at each switch counts too.

    .venv/bin/python bench/short_slice.py [--rounds 7] [--seconds 2]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import sys
import time
import zlib
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from runtime import slices

BLOCK = bytes(range(256)) * 2048
WANTED_LOSS = 0.05


@dataclass(frozen=True)
class Round:
    """What all hogs together did."""

    work: int
    wall: float
    cpu: float
    switches: int


def hog(short: bool, seconds: float, answer: Connection) -> None:
    if short and not slices.shorten(0):
        raise SystemExit("This kernel takes no slice: Linux 6.12 does.")
    deadline, work = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        zlib.crc32(BLOCK)
        work += 1
    used = resource.getrusage(resource.RUSAGE_SELF)
    answer.send((work, used.ru_utime + used.ru_stime, used.ru_nivcsw))


def measure(short: bool, seconds: float) -> Round:
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe(duplex=False) for _ in range(2 * (os.cpu_count() or 1))]
    hogs = [context.Process(target=hog, args=(short, seconds, theirs)) for _, theirs in pipes]
    began = time.monotonic()
    for one in hogs:
        one.start()
    for _, theirs in pipes:
        theirs.close()
    rows = [ours.recv() for ours, _ in pipes]
    wall = time.monotonic() - began
    for one in hogs:
        one.join()
    work, cpu, switches = (sum(column) for column in zip(*rows, strict=True))
    return Round(work, wall, cpu, switches)


def show(name: str, rounds: list[Round]) -> None:
    wall = statistics.median(one.work / one.wall for one in rounds)
    cpu = statistics.median(one.work / one.cpu for one in rounds)
    switches = statistics.median(one.switches / one.wall for one in rounds)
    print(f"  {name:14} {wall:9.0f} blocks/s   {cpu:9.0f} per processor second   {switches:7.0f} switches/s")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    default: list[Round] = []
    short: list[Round] = []
    for number in range(arguments.rounds):
        for kind in (False, True) if number % 2 else (True, False):
            (short if kind else default).append(measure(kind, arguments.seconds))
    show("default slice", default)
    show("short slice", short)
    pairs = list(zip(short, default, strict=True))
    wall = statistics.median((a.work / a.wall) / (b.work / b.wall) for a, b in pairs)
    cpu = statistics.median((a.work / a.cpu) / (b.work / b.cpu) for a, b in pairs)
    verdict = "ok" if cpu >= 1 - WANTED_LOSS else "MISSED"
    print(f"short / default: {wall:.3f} of the work per second")
    print(f"short / default: {cpu:.3f} of the work per processor second (wanted: at least 0.95) {verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
