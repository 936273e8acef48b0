"""A container of one's own: once and watched, in the background, or kept running.

In: an image, a bundle or the host's /usr, a command, limits, ports, volumes.  Out: its output and status, or its id.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from contextlib import suppress
from pathlib import Path

import msgspec

from runtime.cli.commands import Commands, command_words
from runtime.cli.connection import connect
from runtime.cli.containers import print_line
from runtime.cli.control import forget_job
from runtime.cli.sizes import add_limits, read_change, size
from runtime.client import AgentClient, AgentRefused
from runtime.config import Settings
from runtime.model import (
    ContainerSpec,
    HealthCheck,
    HealthKind,
    ImageRef,
    InstanceSpec,
    JobSpec,
    JobState,
    JobStatus,
    Limits,
    NetworkMode,
    Rootfs,
)

EXAMPLES = """With --restart it is an instance, kept running until `rm ID`; else it runs once. Without -d its output is
shown, its exit status is that of the command (125: it could not be started), and nothing is left of it; with -d its id
is printed, and it can be looked into for an hour after its end; `rm ID` forgets it."""
DAY = 86400.0


def register(commands: Commands) -> None:
    run = commands.add("run", _run, "run a command in a container of its own", EXAMPLES)
    run.add_argument("-d", "--detach", action="store_true", help="print its id and do not wait for it")
    run.add_argument(
        "--restart", action="store_true", help="keep it running, over its crashes and the agent's"
    )
    run.add_argument("--id", default="", help="an id of your choice")
    run.add_argument("--name", default="", help="its name in logs and in DNS (run.1)")
    run.add_argument("--owner", default="local", help="containers of one owner reach each other (local)")
    run.add_argument(
        "-i",
        "--image",
        action="append",
        default=[],
        metavar="DIGEST",
        help="a layer on this host, topmost first",
    )
    run.add_argument("--no-host", action="store_true", help="without the host's /usr below the images")
    run.add_argument("-e", "--env", action="append", default=[], metavar="NAME=VALUE")
    run.add_argument("-w", "--workdir", default="", metavar="DIR", help="(/, or /app with an image)")
    run.add_argument(
        "-p", "--port", type=int, metavar="PORT", help="what it listens on: PORT is set, and checked"
    )
    run.add_argument(
        "--network", choices=[mode.value for mode in NetworkMode], default="", help="(build: out only)"
    )
    run.add_argument(
        "-v", "--volume", default="", metavar="NAME[:SIZE]", help="a volume of its owner at /cache; once only"
    )
    run.add_argument("--grace", type=float, default=5.0, metavar="SECONDS", help="between TERM and KILL (5)")
    run.add_argument(
        "--timeout", type=float, default=DAY, metavar="SECONDS", help="a day; not with --restart"
    )
    run.add_argument("--writable", type=size, metavar="SIZE", help="the writable layer")
    run.add_argument(
        "--bundle", type=Path, metavar="DIR", help="a standard OCI bundle: config.json and its root"
    )
    run.add_argument("--runtime", default="", metavar="NAME", help="an OCI runtime of this host")
    run.add_argument("--seccomp", default="", metavar="NAME", help="a seccomp profile of this host")
    run.add_argument("--read-only", action="store_true", help="its root cannot be written")
    add_limits(run)
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command")


def _run(settings: Settings, arguments: argparse.Namespace) -> int:
    problem = check(arguments)
    if problem:
        print(problem, file=sys.stderr)
        return 2
    spec = container_of(arguments)
    with connect(settings) as client:
        if arguments.restart:
            print(client.put_instance(InstanceSpec(container=spec, health=health_of(spec))).id)
            return 0
        client.put_job(job_of(arguments, spec))
        if arguments.detach:
            print(spec.id)
            return 0
        return _watch(client, spec.id)


def check(arguments: argparse.Namespace) -> str:
    """Why these arguments make no container, '' when they do. Pure."""
    if bool(command_words(arguments.words)) == bool(arguments.bundle):
        return "Say what to run: python -m runtime run [OPTIONS] -- CMD [ARGUMENT…], or run --bundle DIR"
    if arguments.bundle and (arguments.image or arguments.env or arguments.workdir):
        return "A bundle brings its own root, environment and directory; change its config.json."
    if any("=" not in pair for pair in arguments.env):
        return "An environment variable is written NAME=VALUE."
    if arguments.no_host and not arguments.image:
        return (
            "Without the host's /usr it needs an image: -i sha256:…; `python -m runtime images` lists them."
        )
    if arguments.restart and arguments.volume:
        return "A volume can only be given to what runs once."
    return ""


def container_of(arguments: argparse.Namespace) -> ContainerSpec:
    """Pure but for the id."""
    id_ = arguments.id or f"run-{uuid.uuid4().hex[:12]}"
    network = arguments.network or (
        NetworkMode.APP if arguments.port or arguments.restart else NetworkMode.BUILD
    )
    spec = ContainerSpec(
        id=id_,
        owner=arguments.owner,
        name=arguments.name or f"run.{id_[-4:]}",
        rootfs=Rootfs(
            layers=tuple(ImageRef(digest=one) for one in arguments.image), host=not arguments.no_host
        ),
        argv=tuple(command_words(arguments.words)),
        env=dict(pair.split("=", 1) for pair in arguments.env),
        cwd=arguments.workdir or ("/app" if arguments.image else "/"),
        port=arguments.port,
        limits=limits_of(arguments),
        network=NetworkMode(network),
        grace_seconds=arguments.grace,
        runtime=arguments.runtime,
        seccomp=arguments.seccomp,
        readonly=arguments.read_only,
    )
    return bundled(spec, arguments) if arguments.bundle else spec


def bundled(spec: ContainerSpec, arguments: argparse.Namespace) -> ContainerSpec:
    """A bundle says itself what is run and how; its network is an empty one unless another is asked for. Pure."""
    return msgspec.structs.replace(
        spec,
        bundle=str(arguments.bundle.absolute()),
        rootfs=Rootfs(),
        network=NetworkMode(arguments.network or NetworkMode.NONE),
    )


def limits_of(arguments: argparse.Namespace) -> Limits:
    change, standard = read_change(arguments), Limits()
    return Limits(
        memory_bytes=change.memory_bytes or standard.memory_bytes,
        cpu_shares=change.cpu_shares or standard.cpu_shares,
        cpu_cores=change.cpu_cores or None,
        pids=change.pids or standard.pids,
        writable_bytes=arguments.writable or standard.writable_bytes,
    )


def health_of(spec: ContainerSpec) -> HealthCheck:
    return HealthCheck(kind=HealthKind.TCP if spec.port else HealthKind.STEADY)


def job_of(arguments: argparse.Namespace, spec: ContainerSpec) -> JobSpec:
    name, _, limit = arguments.volume.partition(":")
    standard = JobSpec(container=spec, timeout=arguments.timeout, cache=name)
    return msgspec.structs.replace(standard, cache_bytes=size(limit)) if limit else standard


def _watch(client: AgentClient, id_: str) -> int:
    try:
        for line in client.logs(id_):
            print_line(line)
        status = _ended(client, id_)
    finally:
        with suppress(AgentRefused):
            forget_job(client, id_)
    if status.state is not JobState.SUCCEEDED and (status.exit is None or status.exit.code in (None, 125)):
        print(status.message, file=sys.stderr)
    return 0 if status.exit is None else (status.exit.code if status.exit.code is not None else 1)


def _ended(client: AgentClient, id_: str) -> JobStatus:
    while True:
        status = client.job(id_, wait=30)
        if status.state in (JobState.SUCCEEDED, JobState.FAILED):
            return status
