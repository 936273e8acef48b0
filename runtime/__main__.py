"""`python -m runtime`: the agent, and a look at it from its own host.

In: arguments and `PAAS_AGENT_*`.  Out: exit status 0, 1 (failed), 2 (settings), or that of the job run.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from runtime.client import AgentClient, AgentError, AgentRefused
from runtime.config import Settings, SettingsError, read_settings
from runtime.model import (
    ContainerSpec,
    ExecSpec,
    ExitInfo,
    JobSpec,
    JobState,
    JobStatus,
    LogLine,
    NetworkMode,
    Rootfs,
    Stream,
)


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        print(f"The settings cannot be used:\n{error}", file=sys.stderr)
        return 2
    command: Callable[[Settings, argparse.Namespace], int] = arguments.command
    try:
        return command(settings, arguments)
    except AgentError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runtime", description="The container runtime of one host."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, command: Callable[[Settings, argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(command=command)
        return one

    add("agent", _agent, "run the agent in the foreground")
    add("ps", _ps, "list instances and jobs")
    logs = add("logs", _logs, "print the output of a container")
    logs.add_argument("id")
    logs.add_argument("-f", "--follow", action="store_true", help="wait for more until it has ended")
    doctor = add("doctor", _doctor, "prove that nothing is left on this host that nobody answers for")
    doctor.add_argument("--repair", action="store_true", help="remove what was found")
    add("prune", _prune, "clear away what nobody needs: images, build caches, files")
    events = add("events", _events, "print what happened on this host")
    events.add_argument("-f", "--follow", action="store_true", help="wait for more")
    events.add_argument("--since", type=int, default=0, metavar="N", help="only events after number N")
    add("stop", _stop, "stop every container, remove everything from the host, end the agent")
    execute = add("exec", _exec, "run a command in a running container")
    execute.add_argument("id")
    execute.add_argument("words", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command")
    attach = add("attach", _attach, "join your terminal to a container; Ctrl-C is sent to it")
    attach.add_argument("id")
    run = add("run", _run, "run a command once in a container on the host's own /usr")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command")
    return parser


def _agent(settings: Settings, _: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Only the agent itself loads the server and the engine: the other commands stay quick.
    from runtime.agent.daemon import AlreadyRunning, run
    from runtime.container.config import EngineConfig
    from runtime.container.engine import CrunEngine
    from runtime.container.port import EngineError

    engine = CrunEngine(
        EngineConfig(
            home=settings.home,
            tag=settings.tag,
            subnet=settings.subnet,
            runtime=settings.runtime,
            blocked=settings.blocked,
            overlay=settings.overlay,
            underlay=settings.underlay,
            ca_bundle=settings.ca_bundle,
        )
    )
    try:
        run(settings, engine)
    except (EngineError, AlreadyRunning, OSError) as error:
        print(f"The agent cannot run: {error}", file=sys.stderr)
        return 1
    return 0


def _client(settings: Settings) -> AgentClient:
    return AgentClient(_address(settings), settings.token)


def _address(settings: Settings) -> str:
    address = f"{settings.listen_host}:{settings.listen_port}"
    with suppress(OSError):
        address = (settings.state / "address").read_text()
    return f"http://{address}"


def _ps(settings: Settings, _: argparse.Namespace) -> int:
    with _client(settings) as client:
        report = client.report()
    print(f"host {report.host}  generation {report.generation}")
    rows = [("ID", "STATE", "AGE", "ADDRESS", "RESTARTS", "LAST EXIT")]
    for one in report.instances:
        address = f"{one.address}:{one.port}" if one.address and one.port else one.address
        rows.append((one.id, one.state, _age(one.since), address, str(one.restarts), _exit(one.last_exit)))
    for job in report.jobs:
        rows.append((job.id, f"job {job.state}", _age(job.since), "", "", _exit(job.exit)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _age(since: float) -> str:
    seconds = int(max(0, time.time() - since))
    return (
        f"{seconds}s" if seconds < 120 else f"{seconds // 60}m" if seconds < 7200 else f"{seconds // 3600}h"
    )


def _exit(exit: ExitInfo | None) -> str:
    if exit is None:
        return ""
    return " ".join(filter(None, (exit.reason, "" if exit.code is None else str(exit.code), exit.message)))


def _logs(settings: Settings, arguments: argparse.Namespace) -> int:
    with _client(settings) as client:
        for line in client.logs(arguments.id, follow=arguments.follow):
            _print_line(line)
    return 0


def _print_line(line: LogLine) -> None:
    target = sys.stderr if line.stream is not Stream.STDOUT else sys.stdout
    prefix = "" if line.stream is not Stream.SYSTEM else "agent: "
    print(f"{prefix}{line.text}", file=target, flush=True)


def _doctor(settings: Settings, arguments: argparse.Namespace) -> int:
    from runtime.doctor.command import run

    with _client(settings) as client:
        return run(settings, client, repair=arguments.repair)


def _prune(settings: Settings, _: argparse.Namespace) -> int:
    with _client(settings) as client:
        pruned = client.prune()
    for item in pruned.items:
        print(f"removed {item}")
    print(f"{len(pruned.items)} removed, {pruned.bytes / 1024**2:.1f} MiB.")
    return 0


def _events(settings: Settings, arguments: argparse.Namespace) -> int:
    since = arguments.since
    with _client(settings) as client:
        while True:
            page = client.events(since, wait=30 if arguments.follow else 0)
            for event in page.events:
                at = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(event.at))
                words = (str(event.number), at, event.kind, event.container, event.name, event.message)
                print("  ".join(word for word in words if word), flush=True)
                since = event.number
            if not page.events and not arguments.follow:
                return 0


def _stop(settings: Settings, _: argparse.Namespace) -> int:
    with _client(settings) as client:
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


def _exec(settings: Settings, arguments: argparse.Namespace) -> int:
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if not words:
        print("Say what to run: python -m runtime exec ID -- CMD [ARGUMENT…]", file=sys.stderr)
        return 2
    from runtime import attach, terminal

    on_terminal = terminal.is_terminal()
    rows, columns = terminal.size() if on_terminal else (0, 0)
    environment = {"TERM": os.environ.get("TERM", "xterm")} if on_terminal else {}
    spec = ExecSpec(argv=tuple(words), env=environment, tty=on_terminal, rows=rows, columns=columns)

    async def join() -> int:
        session = await attach.execute(_address(settings), settings.token, arguments.id, spec)
        try:
            return await terminal.join(session, terminal=on_terminal)
        finally:
            await session.close()

    return _joined(join)


def _attach(settings: Settings, arguments: argparse.Namespace) -> int:
    from runtime import attach, terminal

    on_terminal = terminal.is_terminal()
    rows, columns = terminal.size() if on_terminal else (0, 0)
    path = attach.attach_path(arguments.id, rows=rows, columns=columns)

    async def join() -> int:
        session = await attach.attach(_address(settings), settings.token, path)
        try:
            return await terminal.join(session, terminal=on_terminal)
        finally:
            await session.close()

    return _joined(join)


def _joined(join: Callable[[], Coroutine[Any, Any, int]]) -> int:
    import asyncio

    from runtime.attach import AttachError

    try:
        return asyncio.run(join())
    except AttachError as error:
        print(error, file=sys.stderr)
        return 1


def _run(settings: Settings, arguments: argparse.Namespace) -> int:
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
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
    with _client(settings) as client:
        client.put_job(JobSpec(container=container))
        try:
            for line in client.logs(id_):
                _print_line(line)
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


if __name__ == "__main__":
    sys.exit(main())
