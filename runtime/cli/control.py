"""Changing what runs, by hand: limits, stop, start, restart, signals, removal.

In: ids.  Out: orders to the agent; it keeps them over its restarts.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable

from runtime.cli.commands import Commands
from runtime.cli.connection import connect
from runtime.cli.sizes import add_limits, limits_words, read_change
from runtime.client import AgentClient, AgentRefused
from runtime.config import Settings
from runtime.model import Inspection, InstanceState, JobState

ENDED = {InstanceState.STOPPED, InstanceState.CRASHED, JobState.SUCCEEDED, JobState.FAILED, "gone"}
STOP_SECONDS = 120.0


def register(commands: Commands) -> None:
    update = commands.add("update", _update, "change limits of a running container without a restart")
    update.add_argument("id")
    add_limits(update)
    stop = commands.add(
        "stop", _stop, "stop containers; an instance stays stopped until it is started by hand"
    )
    stop.add_argument("ids", nargs="*", metavar="ID")
    stop.add_argument(
        "--all", action="store_true", help="every container, remove everything from the host, end the agent"
    )
    for name, call, text in (
        ("start", AgentClient.start_container, "start an instance again that was stopped by hand"),
        ("restart", AgentClient.restart_container, "stop an instance with its grace, and start it anew"),
    ):
        commands.add(name, _each(call), text).add_argument("ids", nargs="+", metavar="ID")
    kill = commands.add("kill", _kill, "send a signal to the first process of a container")
    kill.add_argument("ids", nargs="+", metavar="ID")
    kill.add_argument("-s", "--signal", default="KILL", metavar="NAME", help="its name or number (KILL)")
    remove = commands.add("rm", _remove, "stop and forget what `run` has started here")
    remove.add_argument("ids", nargs="+", metavar="ID")


def _update(settings: Settings, arguments: argparse.Namespace) -> int:
    change = read_change(arguments)
    if change == type(change)():
        print("Say what to change: --memory, --cpus, --cpu-shares or --pids.", file=sys.stderr)
        return 2
    with connect(settings) as client:
        found = client.change_limits(arguments.id, change)
    print(f"{found.id}: {limits_words(found.limits) if found.limits else 'counts from its next start'}")
    return 0


def _stop(settings: Settings, arguments: argparse.Namespace) -> int:
    from runtime.cli.host import stop_host

    if arguments.all and not arguments.ids:
        return stop_host(settings)
    if not arguments.ids or arguments.all:
        print(
            "Say which: python -m runtime stop ID…, or --all for the whole host and its agent.",
            file=sys.stderr,
        )
        return 2
    with connect(settings) as client:
        for id_ in arguments.ids:
            client.stop_container(id_)
        return max(_wait_ended(client, id_) for id_ in arguments.ids)


def _wait_ended(client: AgentClient, id_: str) -> int:
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            if client.inspect(id_).state in ENDED:
                print(id_)
                return 0
        except AgentRefused:  # nothing is left of it, not even to be looked into
            return 0
        time.sleep(0.1)
    print(f"{id_} has not ended within {STOP_SECONDS:g} seconds.", file=sys.stderr)
    return 1


def _each(call: Callable[[AgentClient, str], Inspection]) -> Callable[[Settings, argparse.Namespace], int]:
    def command(settings: Settings, arguments: argparse.Namespace) -> int:
        with connect(settings) as client:
            for id_ in arguments.ids:
                print(call(client, id_).id)
        return 0

    return command


def _kill(settings: Settings, arguments: argparse.Namespace) -> int:
    number = signal_number(arguments.signal)
    if number is None:
        print(f"There is no signal {arguments.signal}.", file=sys.stderr)
        return 2
    with connect(settings) as client:
        for id_ in arguments.ids:
            print(client.signal(id_, number).id)
    return 0


def signal_number(text: str) -> int | None:
    """Read TERM, SIGTERM or 15. Pure."""
    if text.isdigit():
        return int(text) if int(text) in set(signal.Signals) else None
    name = text.upper()
    return getattr(signal.Signals, name if name.startswith("SIG") else f"SIG{name}", None)


def _remove(settings: Settings, arguments: argparse.Namespace) -> int:
    with connect(settings) as client:
        for id_ in arguments.ids:
            if client.inspect(id_).kind == "job":
                forget_job(client, id_)
            else:
                client.remove_instance(id_)
            print(id_)
    return 0


def forget_job(client: AgentClient, id_: str) -> None:
    """Cancel it when it still runs, then forget it."""
    client.cancel_job(id_)
    if client.job(id_, wait=20).state in (JobState.SUCCEEDED, JobState.FAILED):
        client.cancel_job(id_)
