"""The host as a whole: is it clean, what happened, the end of everything.

In: arguments.  Out: sentences; what is asked for is done by the agent.
"""

from __future__ import annotations

import argparse
import fcntl
import sys
import time
from contextlib import suppress
from pathlib import Path

from runtime.cli.commands import Commands
from runtime.cli.connection import connect
from runtime.cli.sizes import show
from runtime.cli.tables import age_of, show_table
from runtime.config import Settings
from runtime.model import InstanceState


def register(commands: Commands) -> None:
    doctor = commands.add(
        "doctor", _doctor, "prove that nothing is left on this host that nobody answers for"
    )
    doctor.add_argument("--repair", action="store_true", help="remove what was found")
    commands.add("prune", _prune, "clear away what nobody needs: images, build caches, files")
    events = commands.add("events", _events, "print what happened on this host")
    events.add_argument("-f", "--follow", action="store_true", help="wait for more")
    events.add_argument("--since", type=int, default=0, metavar="N", help="only events after number N")
    commands.add("images", _images, "list the images on this host")
    commands.add("health", _health, "say whether the agent answers")


def _doctor(settings: Settings, arguments: argparse.Namespace) -> int:
    from runtime.doctor.command import run

    with connect(settings) as client:
        return run(settings, client, repair=arguments.repair)


def _prune(settings: Settings, _: argparse.Namespace) -> int:
    with connect(settings) as client:
        pruned = client.prune()
    for item in pruned.items:
        print(f"removed {item}")
    print(f"{len(pruned.items)} removed, {pruned.bytes / 1024**2:.1f} MiB.")
    return 0


def _events(settings: Settings, arguments: argparse.Namespace) -> int:
    since = arguments.since
    with connect(settings) as client:
        while True:
            page = client.events(since, wait=30 if arguments.follow else 0)
            for event in page.events:
                at = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(event.at))
                words = (str(event.number), at, event.kind, event.container, event.name, event.message)
                print("  ".join(word for word in words if word), flush=True)
                since = event.number
            if not page.events and not arguments.follow:
                return 0


def _images(settings: Settings, _: argparse.Namespace) -> int:
    with connect(settings) as client:
        rows = [("IMAGE", "SIZE", "LAST USED", "IN USE")]
        rows += [
            (one.digest, show(one.size), f"{age_of(one.used_at)} ago", "yes" if one.in_use else "")
            for one in client.images()
        ]
    show_table(rows)
    return 0


def _health(settings: Settings, _: argparse.Namespace) -> int:
    with connect(settings) as client:
        client.health()
        report = client.report()
    up = sum(one.state is InstanceState.UP for one in report.instances)
    print(
        f"ok: host {report.host}, generation {report.generation}, {up} of {len(report.instances)} instances up"
    )
    return 0


def stop_host(settings: Settings) -> int:
    """Stop every container, remove everything from the host, end the agent."""
    with connect(settings) as client:
        client.stop(remove=True)
    if not _ended_within(settings.state / "lock", 30.0):
        print("The containers are stopped, but the agent has not ended; look at its log.", file=sys.stderr)
        return 1
    print("Every container is stopped and removed; the agent has ended.")
    return 0


def _ended_within(lock: Path, seconds: float) -> bool:
    """Wait until the agent has let go of its lock, the last thing it does."""
    deadline = time.monotonic() + seconds
    with lock.open("rb") as file:
        while time.monotonic() < deadline:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            time.sleep(0.05)
    return False
