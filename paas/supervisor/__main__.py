"""`python -m paas.supervisor`: up, down, status, restart, exec.

In: arguments and `PAAS_*` settings.  Out: a running platform, or one sentence on standard error and an exit status.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from paas.configuration import Configuration, ConfigurationError, configuration
from paas.supervisor import control, proctable, subnets
from paas.supervisor.layout import SOURCE, Layout
from paas.supervisor.platform import Platform, Wishes, problems, this_machine
from paas.supervisor.processes import base_environment, environment, needs_redis, python_processes, redis

DOWN_DEADLINE = 60.0  # seconds until `down` gives up waiting for the last process
NOT_RUNNING = 3  # exit status, as of systemctl


class Refused(Exception):
    """What was asked for cannot be done now; the text says why and what to do."""


def main() -> int:
    options = _arguments().parse_args()
    if getattr(options, "stack", None):
        os.environ["PAAS_STACK"] = options.stack
    try:
        settings = configuration()
        status: int = options.command(settings, Layout(settings.home), options)
    except (ConfigurationError, Refused, subnets.NoSubnet) as error:
        print(error, file=sys.stderr)
        return 1
    except control.NotRunning as error:
        print(error, file=sys.stderr)
        return NOT_RUNNING
    return status


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m paas.supervisor", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="up|down|status|restart|exec")
    up = commands.add_parser("up", help="start the platform and stay until Ctrl-C")
    up.add_argument("--no-sample", action="store_true", help="do not deploy the sample app")
    up.add_argument("--ready-file", type=Path, metavar="FILE", help="write JSON to FILE once all is up")
    up.add_argument("--stack", help="the stack of new apps: debian-13, host (default: PAAS_STACK)")
    up.set_defaults(command=_up)
    down = commands.add_parser("down", help="stop the platform of PAAS_HOME")
    down.add_argument(
        "--leftovers", action="store_true", help="remove containers and HAProxy that run without it"
    )
    down.set_defaults(command=_down)
    commands.add_parser("status", help="list its processes").set_defaults(command=_status)
    restart = commands.add_parser("restart", help="restart one process; apps keep answering")
    restart.add_argument("name")
    restart.set_defaults(command=_restart)
    execute = commands.add_parser("exec", help="become one process, or `setup`: for systemd units")
    execute.add_argument("name")
    execute.set_defaults(command=_exec)
    return parser


def _up(settings: Configuration, layout: Layout, options: argparse.Namespace) -> int:
    if os.geteuid() != 0:
        raise Refused("The platform makes containers and needs root. Start it as root: sudo script/up")
    layout.make_folders()
    with _only_one(layout):
        _end_leftovers(layout)
        found = problems(settings)
        if found:
            raise Refused("\n".join(found))
        ready_file = options.ready_file.absolute() if options.ready_file else None
        wishes = Wishes(sample=not options.no_sample, ready_file=ready_file)
        return asyncio.run(_run(settings, layout, wishes))


async def _run(settings: Configuration, layout: Layout, wishes: Wishes) -> int:
    return await Platform(settings, layout, _say).run(wishes)


def _down(settings: Configuration, layout: Layout, options: argparse.Namespace) -> int:
    try:
        control.ask(layout.control_socket, {"do": "down"})
    except control.NotRunning:
        if not layout.process_table.exists() and not (options.leftovers and layout.machine.exists()):
            raise
        return _remove_leftovers(settings, layout)
    deadline = time.monotonic() + DOWN_DEADLINE
    while time.monotonic() < deadline:
        with contextlib.suppress(Refused), _only_one(layout):
            _say("Stopped.")
            return 0
        time.sleep(0.05)
    raise Refused(f"The platform did not stop within {DOWN_DEADLINE:.0f} s; see {layout.logs}.")


def _remove_leftovers(settings: Configuration, layout: Layout) -> int:
    """There is no supervisor. Take down what a killed one, or services that were stopped, left running."""

    async def remove() -> None:
        await Platform(settings, layout, _say).remove_leftovers()

    with _only_one(layout):
        _end_leftovers(layout)
        asyncio.run(remove())
    return 0


def _status(settings: Configuration, layout: Layout, _: argparse.Namespace) -> int:
    answer = control.ask(layout.control_socket, {"do": "status"})
    print(f"supervisor  process {answer['pid']}")
    for name, row in answer["processes"].items():
        print(f"{name:<11} {row['state']:<9} process {row['pid'] or '-'}  restarts {row['restarts']}")
    return 0


def _restart(settings: Configuration, layout: Layout, options: argparse.Namespace) -> int:
    answer = control.ask(layout.control_socket, {"do": "restart", "name": options.name})
    if "error" in answer:
        raise Refused(answer["error"])
    print(f"{answer['restarted']} runs again (process {answer['pid']}).")
    return 0


def _exec(settings: Configuration, layout: Layout, options: argparse.Namespace) -> int:
    """Become a process with the arguments and environment that `up` gives it: systemd then supervises it."""
    layout.make_folders()
    base = base_environment(os.environ, layout)
    os.chdir(SOURCE)
    if options.name == "setup":
        return _become((sys.executable, "manage.py", "setup_platform"), {**base, **os.environ})
    if options.name == "redis" and not needs_redis():
        _say("REDIS_URL names another Redis; this one is not needed.")
        return 0
    known = {"redis": redis(layout)}
    if layout.machine.exists():
        machine = this_machine(settings, layout)
        known |= {process.name: process for process in python_processes(settings, layout, machine)}
    process = known.get(options.name)
    if process is None:
        raise Refused(
            f"There is no process {options.name!r}; there is: setup, {', '.join(known)}. Run setup first."
        )
    return _become(process.argv, environment(process, base))


def _become(argv: tuple[str, ...], environ: dict[str, str]) -> int:
    os.execvpe(argv[0], argv, environ)  # noqa: S606 (replacing this process is the point)


def _end_leftovers(layout: Layout) -> None:
    """A supervisor that was killed could not end its processes: do it now, so that their ports are free."""
    ended = proctable.end_leftovers(proctable.leftovers(layout))
    if ended:
        _say(f"Ended what an earlier run left behind: {', '.join(ended)}.")


@contextlib.contextmanager
def _only_one(layout: Layout) -> Iterator[None]:
    """Hold the lock of the data folder. Raises Refused when another supervisor holds it."""
    if not layout.run.is_dir():
        raise control.NotRunning("The platform is not running.")
    with layout.lock.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise Refused(
                f"A platform already runs in {layout.home} (process {holder}). Stop it with Ctrl-C or "
                "`python -m paas.supervisor down`, or choose another folder with PAAS_HOME and other ports."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _say(text: str) -> None:
    """Tell the operator. That nobody listens (a closed terminal, a tee ended by the same Ctrl-C) must not hinder."""
    try:
        print(text, flush=True)
    except OSError:
        with Path(os.devnull).open("w") as nowhere:  # what is still in the buffer goes there too, at exit
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
