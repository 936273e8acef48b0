#!/usr/bin/env python3
"""How soon the names of an app follow what the controller wants, on two hosts.

In: root, a machine with script/setup done.  Out: seconds from a wish or a change to the last answer with an address
that it took away, or the first with one that it added, as containers on both hosts saw it.

    bench/names_follow.py [--rounds 5]

Every instance of an app asks for `web.APP.internal` every 5 ms and notes when each address was first and last in an
answer. `wish` counts from before `PATCH /formation`, or from the health check that failed first; `report` from when
the API has first shown the instance stopping, up or not up. Both hosts are machines of one clock.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.e2e.joined_host import second_machine
from tests.e2e.platform import PORTS, Platform, repository, until
from tests.e2e.test_joined_host import Two, join
from tests.ports import free_ports

APP, MOST = "names", 4
SERVER = """
import json, os, socket, threading, time, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

spans = {}  # address: [[first, last], ...]
ill, told = False, {}  # told: when a health check has first had this answer
NAME = 'web.' + os.environ['APP'] + '.internal'

def watch():
    before = set()
    while True:
        try:
            asked = time.time()
            found = {one[4][0] for one in socket.getaddrinfo(NAME, 80, socket.AF_INET)}
        except OSError:
            found = set()
        for address in found:
            if address not in before:
                spans.setdefault(address, []).append([time.time(), asked])
            spans[address][-1][1] = asked
        before = found
        time.sleep(0.005)

class Handler(BaseHTTPRequestHandler):
    def log_message(self, *words): pass
    def do_GET(self):
        global ill
        _, verb, *rest = self.path.split('/')
        if verb == 'of':  # ask another instance
            body = urllib.request.urlopen(f"http://{rest[0]}:{os.environ['PORT']}/{rest[1]}", timeout=5).read()
        else:
            if verb in ('ill', 'well'):
                ill = verb == 'ill'
            if verb == 'health' and not told.get(ill):
                told.clear()
                told[ill] = time.time()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                one.connect(('192.0.2.1', 9))
                own = one.getsockname()[0]
            since = told.get(ill, 0)
            body = json.dumps({'dyno': os.environ['DYNO'], 'address': own, 'spans': spans, 'since': since}).encode()
        self.send_response(503 if verb == 'health' and ill else 200)
        self.end_headers()
        self.wfile.write(body)

threading.Thread(target=watch, daemon=True).start()
ThreadingHTTPServer(('0.0.0.0', int(os.environ['PORT'])), Handler).serve_forever()
"""
CHECK = {"healthchecks": {"web": [{"path": "/health", "wait": 1, "attempts": 1, "timeout": 5}]}}
FILES = {"Procfile": "web: python3 server.py\n", "server.py": SERVER, "app.json": json.dumps(CHECK)}
Spans = dict[str, dict[str, list[list[float]]]]


@contextmanager
def platform_of_two(folder: Path) -> Iterator[Two]:
    with second_machine() as far, ExitStack() as stack:
        ports = free_ports(len(PORTS))
        platform = Platform.prepare(ports, PAAS_MACHINE_BIND=far.near, PAAS_AGENT_UNDERLAY=far.near)
        stack.callback(platform.remove)
        stack.callback(far.end)
        platform.start()
        two = Two(platform, far, APP)
        join(two)
        assert platform.api("POST", "/apps", {"name": APP}).status == 201
        platform.api("PATCH", f"/apps/{APP}/config-vars", {"APP": APP})
        pushed = platform.git_push(repository(folder / "app", files=FILES), APP)
        assert pushed.code == 0, pushed.output
        scale(two, MOST)
        two.settled()
        yield two


def scale(two: Two, count: int) -> float:
    """Wish for so many instances; the moment of the wish."""
    began = time.time()
    answer = two.platform.api(
        "PATCH", f"/apps/{APP}/formation", {"updates": [{"type": "web", "quantity": count}]}
    )
    assert answer.status == 200, answer.text
    return began


def seen(two: Two) -> Spans:
    """By address of whom it was seen: when each address was in answers."""
    return {one["address"]: one["spans"] for one in two.seen(times=8 * MOST)}


@dataclass
class Shown(threading.Thread):
    """Asks the API every 10 ms, and notes when it has shown each dyno in another state than before."""

    two: Two
    at: dict[tuple[str, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        before: dict[str, str] = {}
        while not self.over.wait(0.01):
            now = {row["name"]: row["state"] for row in self.two.instances()}
            for name in {*now, *before}:
                if now.get(name, "gone") != before.get(name):
                    self.at.setdefault((name, now.get(name, "gone")), time.time())
            before = now

    def first(self, name: str, *, up: bool) -> float:
        return min(at for (one, state), at in self.at.items() if one == name and (state == "up") == up)


@contextmanager
def shown(two: Two) -> Iterator[Shown]:
    one = Shown(two)
    one.start()
    try:
        yield one
    finally:
        one.over.set()
        one.join()


def addresses(two: Two) -> dict[str, str]:
    """The address of each dyno; all of them serve."""
    found: dict[str, str] = {}

    def all_answer() -> bool:
        found.update((one["dyno"], one["address"]) for one in two.seen())
        return len(found) == MOST

    until(all_answer, 30, "every instance answers")
    return found


def by_side(
    two: Two, found: Spans, gone: str, value: Callable[[list[list[float]]], float]
) -> dict[bool, float]:
    """Per side (True: the joined host) the latest of what its watchers saw of an address."""
    sides: dict[bool, float] = {}
    for watcher, spans in found.items():
        if watcher != gone and gone in spans:
            side = two.is_far(watcher)
            sides[side] = max(sides.get(side, 0.0), value(spans[gone]))
    return sides


Rows = dict[tuple[str, str], list[float]]


def note(
    rows: Rows, what: str, two: Two, address: str, sides: dict[bool, float], wish: float, report: float
) -> None:
    for side, at in sides.items():
        where = "the same host" if side == two.is_far(address) else "the other host"
        rows[(what, f"{where}, since the wish")].append(at - wish)
        rows[(what, f"{where}, since the report")].append(at - report)


def scaled(two: Two, rows: Rows) -> None:
    """One down, then one up again."""
    known = addresses(two)
    with shown(two) as down:
        wish = scale(two, MOST - 1)
        until(lambda: len(two.instances()) == MOST - 1, 60, "one is gone")
    left = {row["name"] for row in two.instances()}
    (name,) = set(known) - left
    time.sleep(1)  # for the last answers to be noted
    sides = by_side(two, seen(two), known[name], lambda spans: spans[-1][1])
    note(rows, "scaled down: last answer", two, known[name], sides, wish, down.first(name, up=False))
    with shown(two) as up:
        wish = scale(two, MOST)
        two.settled()
        time.sleep(1)
    address = addresses(two)[name]
    sides = by_side(two, seen(two), address, lambda spans: spans[-1][0])
    report = up.first(name, up=True)
    note(rows, "scaled up: first answer", two, address, sides, wish, report)


def other(two: Two, address: str, verb: str) -> float:
    """Have an instance do something by way of another one; since when its health checks have had this answer."""
    answer = two.platform.get(APP, f"/of/{address}/{verb}")
    assert answer.status == 200, answer.text
    return float(answer.json()["since"])


def ill(two: Two, rows: Rows) -> None:
    """One fails its check, and passes it again."""
    name, address = next(iter(addresses(two).items()))
    with shown(two) as away:
        other(two, address, "ill")
        until(lambda: any(row["state"] != "up" for row in two.instances()), 30, "one is unhealthy")
        time.sleep(1)
    sides = by_side(two, seen(two), address, lambda spans: spans[-1][1])
    failed = other(two, address, "state")
    note(rows, "unhealthy: last answer", two, address, sides, failed, away.first(name, up=False))
    with shown(two) as back:
        other(two, address, "well")
        two.settled()
        time.sleep(1)
    sides = by_side(two, seen(two), address, lambda spans: spans[-1][0])
    passed = other(two, address, "state")
    last = max(at for (one, state), at in back.at.items() if (one, state) == (name, "up"))
    note(rows, "healthy again: first answer", two, address, sides, passed, last)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows: Rows = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, platform_of_two(Path(folder)) as two:
        for _ in range(options.rounds):
            scaled(two, rows)
            ill(two, rows)
    print(f"{'':32} {'':36} {'p50':>8} {'worst':>8}")
    for (what, where), values in rows.items():
        print(f"{what:32} {where:36} {statistics.median(values):7.3f}s {max(values):7.3f}s")


if __name__ == "__main__":
    main()
