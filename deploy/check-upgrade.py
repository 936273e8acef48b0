#!/usr/bin/env python3
"""Proves that this checkout takes over from an older one: same data folder, same containers, an answer all the while.

In: root, and a commit of this repository.  Out: what happened, line by line; exit status 0 when nothing was lost.

    deploy/check-upgrade.py [COMMIT]        # default: 100 commits ago

A platform of the old commit serves an app with two processes. All of its own processes are killed, as at the worst of
upgrades; containers and HAProxy stay. This checkout then starts on its data folder and deploys a change. A client asks
for the app every 20 ms from before the kill to the end.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.e2e import apps  # noqa: E402
from tests.e2e.platform import PORTS, Platform, commit, repository, until  # noqa: E402
from tests.ports import free_ports  # noqa: E402

APP = "keep"


def say(*words: object) -> None:
    print(time.strftime("%H:%M:%S"), *words, flush=True)


@contextmanager
def checkout(folder: Path, of: str) -> Iterator[Path]:
    git = ("git", "-C", str(ROOT), "worktree")
    subprocess.run((*git, "add", "--quiet", "--detach", str(folder), of), check=True)
    try:
        yield folder
    finally:
        subprocess.run((*git, "remove", "--force", str(folder)), check=True)


class Client(threading.Thread):
    """Asks for the app until it is told that it is over; `answers` counts each status and each error."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(daemon=True)
        self._platform, self.over, self.answers = platform, threading.Event(), Counter[str]()

    def run(self) -> None:
        while not self.over.wait(0.02):
            try:
                self.answers[str(self._platform.get(APP, "/").status)] += 1
            except (OSError, http.client.HTTPException) as error:
                self.answers[type(error).__name__] += 1

    def lost(self) -> int:
        return self.answers.total() - self.answers["200"]


def migrations(platform: Platform) -> int:
    with closing(sqlite3.connect(f"file:{platform.home}/paas.sqlite3?mode=ro", uri=True)) as rows:
        return int(rows.execute("select count(*) from django_migrations").fetchone()[0])


def instances(platform: Platform) -> list[str]:
    """The ids of the two processes, once both are up."""

    def up() -> list[str]:
        rows = platform.api("GET", f"/apps/{APP}/dynos").json()
        return sorted(row["id"] for row in rows) if [row["state"] for row in rows] == ["up"] * 2 else []

    until(lambda: bool(up()), 60, "two processes are up")
    return up()


def containers(platform: Platform) -> list[str]:
    """The supervisors of its containers, by process id."""
    found = subprocess.run(
        ("pgrep", "-f", f"conmon .*{platform.home}/"), text=True, capture_output=True, check=False
    )
    return sorted(found.stdout.split())


def hosts(platform: Platform) -> list[tuple[str, str]]:
    return [(row["state"], row["version"]) for row in platform.api("GET", "/hosts").json()]


def kill(platform: Platform) -> None:
    """End every process of the platform at once; its containers and HAProxy are none."""
    lines = [line.split() for line in platform.supervisor("status").stdout.splitlines()]
    for pid in (int(words[words.index("process") + 1]) for words in lines if "process" in words):
        os.kill(pid, signal.SIGKILL)
    platform.wait(10)
    until(lambda: not listening(platform), 30, "the workers of those that were killed have ended, too")


def listening(platform: Platform) -> list[str]:
    """Ports that somebody still holds, but for that of HAProxy."""

    def held(name: str) -> bool:
        with closing(socket.socket()) as one:
            return one.connect_ex(("127.0.0.1", platform.port(name))) == 0

    return [name for name in PORTS if name != "PAAS_ROUTER_PORT" and held(name)]


def upgrade(platform: Platform, old: Path, work: Path) -> bool:
    platform.root = old
    platform.start()
    platform.create_app(APP)
    source = repository(work / "app", files=apps.plain("one"))
    assert (pushed := platform.git_push(source, APP)).code == 0, pushed.output
    platform.api("PATCH", f"/apps/{APP}/formation", {"updates": [{"type": "web", "quantity": 2}]})
    before = instances(platform), containers(platform)
    say("the old checkout serves", hosts(platform), f"{migrations(platform)} migrations")
    client = Client(platform)
    client.start()
    kill(platform)
    say("its processes are killed; containers:", len(containers(platform)))
    platform.root = ROOT
    platform.start()
    kept = (instances(platform), containers(platform)) == before
    say(
        "this checkout serves",
        hosts(platform),
        f"{migrations(platform)} migrations;",
        f"same containers: {kept}",
    )
    (source / "added").write_text("two")
    commit(source, "two")
    assert (pushed := platform.git_push(source, APP)).code == 0, pushed.output
    client.over.set()
    client.join()
    say("a change is deployed; answers:", dict(client.answers))
    return kept and not client.lost()


def main() -> int:
    of = sys.argv[1] if len(sys.argv) > 1 else "HEAD~100"
    with tempfile.TemporaryDirectory(prefix="upgrade") as folder, checkout(Path(folder, "old"), of) as old:
        platform = Platform.prepare(free_ports(len(PORTS)))
        try:
            return 0 if upgrade(platform, old, Path(folder)) else 1
        except BaseException:
            print(platform.logs())
            raise
        finally:
            platform.remove()


if __name__ == "__main__":
    sys.exit(main())
