#!/usr/bin/env python3
"""An app's answers beside bombs: 50 CPU hogs, a fork bomb, a memory bomb and others, each in a container of its own.

In: root; a real agent in a temporary folder.  Out: p50 and p99 of the neighbour idle and beside each bomb, measured in
turns, their ratio, and what the agent said of the bomb. Who asks has a session of its own and takes the precedence
of the router, idle and beside.

    .venv/bin/python bench/neighbour.py [--rounds 3] [--only WORD]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "system" / "runtime_agent"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "integration" / "runtime"))

from agent_on_processes import AGENT_TOKEN, in_state
from bombs import BOMBS, Bomb, ask, bomb_spec, neighbour
from fake_controller import FakeController
from test_agent_real import RealAgent

from paas.router import precedence
from runtime.client import AgentClient
from runtime.model import EventKind, InstanceSpec, WantedState

REQUESTS, PAUSE = 2000, 0.001  # of a round
SETTLE_SECONDS = 5.0  # a bomb has its 256 processes, its full disk by then, and the agent has looked twice
WANTED = 2.0


class Place:
    """An agent with the neighbour on it."""

    def __init__(self, client: AgentClient, router: ProcessPoolExecutor) -> None:
        self.client, self.router, self.generation = client, router, 0
        self.give()
        self.address = in_state(client, "neighbour", "up", 30).address

    def give(self, *more: InstanceSpec) -> None:
        self.generation += 1
        self.client.put_wanted(WantedState(generation=self.generation, instances=(neighbour(), *more)))

    def ask(self) -> list[float]:
        return self.router.submit(ask, self.address, REQUESTS, PAUSE).result()

    def beside(self, bomb: Bomb) -> list[float]:
        id_ = f"bomb{self.generation}"
        self.give(bomb_spec(bomb, id_))
        in_state(self.client, id_, "up", 60)
        time.sleep(SETTLE_SECONDS)
        times = self.ask()
        self.give()
        in_state(self.client, id_, "stopped", 60)
        return times

    def said(self) -> list[str]:
        kinds = (EventKind.OOM, EventKind.LIMIT)
        events = self.client.events(0).events
        return [event.message for event in events if event.kind in kinds and event.owner == "bad"]


def be_the_router() -> None:
    os.setsid()
    precedence.take()
    precedence.take_for_session(os.getpid())


def p(times: list[float], share: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


def measure(place: Place, bomb: Bomb, rounds: int) -> None:
    idle: list[float] = []
    beside: list[float] = []
    ratios = []
    for _ in range(rounds):
        time.sleep(0.5)
        quiet = place.ask()
        loud = place.beside(bomb)
        ratios.append(p(loud, 0.99) / p(quiet, 0.99))
        idle += quiet
        beside += loud
    ratio = statistics.median(ratios)
    print(
        f"  {bomb.name:16} idle p50 {p(idle, 0.5):6.2f} p99 {p(idle, 0.99):6.2f} ms   "
        f"beside p50 {p(beside, 0.5):6.2f} p99 {p(beside, 0.99):6.2f} ms   "
        f"p99 x {ratio:5.2f} {'ok' if ratio <= WANTED else 'MISSED'}",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="bombs whose name holds this word")
    arguments = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
    router = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), be_the_router)
    controller = FakeController()
    controller.start()
    agent = RealAgent(home, controller.url)
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    try:
        place = Place(agent.start(), router)
        for bomb in BOMBS:
            if arguments.only in bomb.name:
                measure(place, bomb, arguments.rounds)
        print("reported:")
        for line in dict.fromkeys(place.said()):
            print(f"  {line}")
    finally:
        if agent.process and agent.process.poll() is None:
            AgentClient(f"http://{(home / 'agent' / 'address').read_text()}", AGENT_TOKEN).stop()
            agent.process.wait(60)
        controller.stop()
        router.shutdown()
        shutil.rmtree(home, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
