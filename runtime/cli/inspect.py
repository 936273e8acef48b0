"""Looking into one container, also one that is gone, and its usage while it runs.

In: ids.  Out: what the agent knows, for people or as JSON; a table of usage that renews itself.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping

from runtime.cli.commands import Commands
from runtime.cli.connection import connect
from runtime.cli.sizes import limits_words, show
from runtime.cli.tables import age_of, exit_words, render_table, show_table
from runtime.client import AgentClient, AgentRefused
from runtime.config import Settings
from runtime.model import EndedRun, Inspection, InstanceState, JobState, Usage, encode

RUNNING = {
    InstanceState.STARTING,
    InstanceState.UP,
    InstanceState.UNHEALTHY,
    InstanceState.STOPPING,
    JobState.RUNNING,
}
HEADING = (
    "ID",
    "CPU",
    "MEMORY",
    "LIMIT",
    "PIDS",
    "NET IN",
    "NET OUT",
    "DISK",
    "READ",
    "WRITTEN",
    "THROTTLED",
)


def register(commands: Commands) -> None:
    look = commands.add(
        "inspect", _inspect, "show all that is known of a container, also for a while after it is gone"
    )
    look.add_argument("id")
    look.add_argument("--json", action="store_true", help="as the API gives it")
    stats = commands.add("stats", _stats, "show what containers use, again every second")
    stats.add_argument("ids", nargs="*", metavar="ID", help="which (all that run)")
    stats.add_argument("--once", action="store_true", help="show it once and end")


def _inspect(settings: Settings, arguments: argparse.Namespace) -> int:
    with connect(settings) as client:
        found = client.inspect(arguments.id)
    print(encode(found).decode() if arguments.json else "\n".join(render(found, time.time())))
    return 0


def render(one: Inspection, now: float) -> list[str]:
    """What is known, a line each. Pure."""
    where = f"{one.address}:{one.port}" if one.address and one.port else one.address
    marks = " ".join(word for word, so in (("by hand", one.local), ("held", one.held)) if so)
    rows = [
        ("id", one.id),
        ("name", f"{one.name} of {one.owner}"),
        ("kind", f"{one.kind} {marks}".strip()),
        ("state", f"{one.state} for {age_of(one.since)}" if one.since else one.state),
        ("check", one.health_problem),
        ("address", where),
        ("restarts", str(one.restarts) if one.restarts else ""),
        ("restart due", f"in {max(0.0, one.restart_at - now):.0f}s" if one.restart_at else ""),
        ("limits", limits_words(one.limits) if one.limits else ""),
        ("not in force", one.limits_problem),
        *_config_rows(one),
        ("usage", _usage_words(one.usage) if one.usage else ""),
    ]
    lines = [f"{name:<13}{text}" for name, text in rows if text]
    for run in one.runs:
        lines += ["", *_run_lines(run)]
    return lines


def _config_rows(one: Inspection) -> list[tuple[str, str]]:
    config = one.config
    if config is None:
        return []
    layers = [layer.digest for layer in config.rootfs.layers] + (
        ["the host's /usr"] if config.rootfs.host else []
    )
    return [
        ("command", " ".join(config.argv)),
        ("folder", config.cwd),
        ("root", ", ".join(layers)),
        ("network", str(config.network)),
        ("environment", ", ".join(config.env)),
        ("health", str(one.health.kind) if one.health else ""),
    ]


def _run_lines(run: EndedRun) -> list[str]:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.exit.at))
    lasted = f" after {run.exit.at - run.started_at:.1f} s" if run.started_at else ""
    lines = [f"run {run.run} ended {at}{lasted}: {exit_words(run.exit)}"]
    lines += [f"  used: {_usage_words(run.usage)}"] if run.usage else []
    lines += [f"  | {line}" for line in run.exit.head]
    lines += ["  | …"] if run.exit.head and run.exit.tail else []
    return lines + [f"  | {line}" for line in run.exit.tail]


def _usage_words(usage: Usage) -> str:
    return (
        f"{usage.cpu_seconds:.2f} s of CPU, memory {show(usage.memory_bytes)} (peak {show(usage.memory_peak_bytes)} "
        f"of {show(usage.memory_limit_bytes)}), {usage.pids} processes, "
        f"network {show(usage.network_received_bytes)} in {show(usage.network_sent_bytes)} out, "
        f"disk {show(usage.disk_used_bytes)}"
    )


def _stats(settings: Settings, arguments: argparse.Namespace) -> int:
    before: dict[str, tuple[float, Usage]] = {}
    with connect(settings) as client:
        while True:
            now = {id_: (time.monotonic(), usage) for id_, usage in _usages(client, arguments.ids).items()}
            rows = [
                HEADING,
                *(_row(id_, at, usage, before.get(id_)) for id_, (at, usage) in sorted(now.items())),
            ]
            if arguments.once:
                show_table(rows)
                return 0 if now or not arguments.ids else 1
            if sys.stdout.isatty():
                print("\x1b[H\x1b[2J", end="")
            print("\n".join(render_table(rows)), flush=True)
            before = now
            time.sleep(1)


def _usages(client: AgentClient, ids: list[str]) -> Mapping[str, Usage]:
    report = client.report()
    every = [
        *((one.id, one.state) for one in report.instances),
        *((one.id, one.state) for one in report.jobs),
    ]
    wanted = ids or [id_ for id_, state in every if state in RUNNING]
    found = {}
    for id_ in wanted:
        try:
            found[id_] = client.usage(id_)
        except AgentRefused as error:
            if ids:
                print(error, file=sys.stderr)
    return found


def _row(id_: str, at: float, usage: Usage, before: tuple[float, Usage] | None) -> tuple[str, ...]:
    """One line of the table; CPU as a share of one processor since the last look. Pure."""
    share = ""
    if before and at > before[0]:
        share = f"{(usage.cpu_seconds - before[1].cpu_seconds) / (at - before[0]) * 100:.0f} %"
    return (
        id_,
        share or f"{usage.cpu_seconds:.1f} s",
        show(usage.memory_bytes),
        show(usage.memory_limit_bytes),
        str(usage.pids),
        show(usage.network_received_bytes),
        show(usage.network_sent_bytes),
        show(usage.disk_used_bytes),
        show(usage.read_bytes),
        show(usage.written_bytes),
        f"{usage.cpu_throttled_seconds:.1f} s",
    )
