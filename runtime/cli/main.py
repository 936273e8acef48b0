"""`python -m runtime`: the agent, and a look at it from its own host.

In: arguments and `PAAS_AGENT_*`.  Out: exit status 0, 1 (failed), 2 (settings, usage), or that of what was run.
A subject is a module with `register(commands)`; adding one to `SUBJECTS` is all it takes.
"""

from __future__ import annotations

import argparse
import os
import sys

from runtime.cli import agent, containers, control, host, inspect, reaching, run, sessions, volumes
from runtime.cli.commands import Command, Commands
from runtime.client import AgentError
from runtime.config import SettingsError, read_settings

SUBJECTS = (agent, containers, inspect, sessions, reaching, run, control, volumes, host)


def main(argv: list[str] | None = None) -> int:
    parser = make_parser()
    arguments = parser.parse_args(argv)
    command: Command | None = getattr(arguments, "command", None)
    if command is None:
        parser.print_help()
        return 0
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        print(f"The settings cannot be used:\n{error}", file=sys.stderr)
        return 2
    try:
        return command(settings, arguments)
    except AgentError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runtime", description="The container runtime of one host."
    )
    commands = Commands(parser.add_subparsers(metavar="COMMAND"))
    for subject in SUBJECTS:
        subject.register(commands)
    return parser
