"""A command in a container of its own, once.

In: words.  Out: a job, its output and its exit status; nothing is left.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from contextlib import suppress

from runtime.cli.commands import Commands, command_words
from runtime.cli.connection import connect
from runtime.cli.containers import print_line
from runtime.client import AgentClient, AgentRefused
from runtime.config import Settings
from runtime.model import ContainerSpec, JobSpec, JobState, JobStatus, NetworkMode, Rootfs


def register(commands: Commands) -> None:
    run = commands.add("run", _run, "run a command once in a container on the host's own /usr")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command")


def _run(settings: Settings, arguments: argparse.Namespace) -> int:
    words = command_words(arguments.words)
    if not words:
        print("Say what to run: python -m runtime run -- CMD [ARGUMENT…]", file=sys.stderr)
        return 2
    id_ = f"run-{uuid.uuid4().hex[:12]}"
    container = ContainerSpec(
        id=id_,
        owner="local",
        name=f"run.{id_[-4:]}",
        rootfs=Rootfs(host=True),
        argv=tuple(words),
        cwd="/",
        network=NetworkMode.BUILD,
        grace_seconds=5,
    )
    with connect(settings) as client:
        client.put_job(JobSpec(container=container))
        try:
            for line in client.logs(id_):
                print_line(line)
            status = _ended(client, id_)
        finally:
            _forget(client, id_)
    if status.state is not JobState.SUCCEEDED and (status.exit is None or status.exit.code is None):
        print(status.message, file=sys.stderr)
    return 0 if status.exit is None else (status.exit.code if status.exit.code is not None else 1)


def _ended(client: AgentClient, id_: str) -> JobStatus:
    while True:
        status = client.job(id_, wait=30)
        if status.state in (JobState.SUCCEEDED, JobState.FAILED):
            return status


def _forget(client: AgentClient, id_: str) -> None:
    """Cancel when it still runs (Ctrl-C), then forget."""
    with suppress(AgentRefused):
        client.cancel_job(id_)
        if client.job(id_, wait=20).state in (JobState.SUCCEEDED, JobState.FAILED):
            client.cancel_job(id_)
