"""A look at containers.

In: ids.  Out: tables and lines.
"""

from __future__ import annotations

import argparse
import sys

from runtime.cli.commands import Commands
from runtime.cli.connection import connect
from runtime.cli.tables import age_of, exit_words, show_table
from runtime.config import Settings
from runtime.model import LogLine, Stream


def register(commands: Commands) -> None:
    commands.add("ps", _ps, "list instances and jobs")
    logs = commands.add("logs", _logs, "print the output of a container")
    logs.add_argument("id")
    logs.add_argument("-f", "--follow", action="store_true", help="wait for more until it has ended")


def _ps(settings: Settings, _: argparse.Namespace) -> int:
    with connect(settings) as client:
        report = client.report()
    print(f"host {report.host}  generation {report.generation}")
    rows = [("ID", "STATE", "AGE", "ADDRESS", "RESTARTS", "LAST EXIT")]
    for one in report.instances:
        address = f"{one.address}:{one.port}" if one.address and one.port else one.address
        rows.append(
            (one.id, one.state, age_of(one.since), address, str(one.restarts), exit_words(one.last_exit))
        )
    for job in report.jobs:
        rows.append((job.id, f"job {job.state}", age_of(job.since), "", "", exit_words(job.exit)))
    show_table(rows)
    return 0


def _logs(settings: Settings, arguments: argparse.Namespace) -> int:
    with connect(settings) as client:
        for line in client.logs(arguments.id, follow=arguments.follow):
            print_line(line)
    return 0


def print_line(line: LogLine) -> None:
    target = sys.stderr if line.stream is not Stream.STDOUT else sys.stdout
    prefix = "" if line.stream is not Stream.SYSTEM else "agent: "
    print(f"{prefix}{line.text}", file=target, flush=True)
