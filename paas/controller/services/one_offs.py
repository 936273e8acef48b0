"""Processes that run once: `paas run` and the release phase.

In: a command.  Out: a row and a job on a host; the host's report says how it ended.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import uuid4

from django.db import transaction
from django.utils import timezone

from paas.controller.encryption import encrypt
from paas.controller.models import App, Deployment, Host, OneOff, Release, User
from paas.controller.queue import enqueue
from paas.controller.selectors.formation import DEFAULT_SIZE, SIZES
from paas.controller.selectors.planning import HOST_QUIET
from paas.controller.selectors.sandbox import offers, release_sandbox
from paas.controller.selectors.specs import Terminal, one_off_spec
from paas.controller.selectors.volumes import home_of
from paas.controller.services import events
from paas.controller.services.attaching import attach_url, check_command, terminal_of
from paas.controller.services.locking import lock_app
from paas.controller.texts import stored_exit
from paas.errors import InvalidParams, Unavailable
from runtime.model import ExitInfo, ExitReason, JobState, encode

RUN_TIMEOUT = 24 * 3600.0
RELEASE_TIMEOUT = 3600.0
TYPE = re.compile(r"[A-Za-z0-9_-]{1,32}")
TOLD = frozenset({"postdeploy", "deployed", "cron"})  # nobody waits for them: their end is told in the log
LOST = ExitInfo(reason=ExitReason.LOST)


@dataclass(frozen=True)
class Run:
    """What a user wants to run once. `size` None: the default."""

    command: str
    size: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    process_type: str = "run"


def run_detached(user: User, app: App, run: Run) -> OneOff:
    """Start a command in a fresh container of the current release. Its output goes to the app's log."""
    return _run(user, app, run, None)


def run_attached(user: User, app: App, run: Run, *, no_tty: bool = False) -> tuple[OneOff, str]:
    """Make a one-off that starts when its user attaches, at the URL returned, and ends when they leave."""
    terminal = terminal_of(run.env, no_tty=no_tty)
    one_off = _run(user, app, run, terminal)
    return one_off, attach_url(one_off.host, one_off.id, terminal)


def _run(user: User, app: App, run: Run, terminal: Terminal | None) -> OneOff:
    check_command(run.command, run.env)
    if not TYPE.fullmatch(run.process_type):
        raise InvalidParams(f"{run.process_type!r} cannot name a process: 1 to 32 letters, digits, _ and -.")
    size = (run.size or DEFAULT_SIZE).lower()
    if size not in SIZES:
        raise InvalidParams(f"There is no size {run.size}; choose one of: {', '.join(SIZES)}.")
    with transaction.atomic():
        app = lock_app(app.id)
        release = app.current_release
        if release is None or release.slug_id is None:
            raise InvalidParams(f"{app.name} has no code yet; push some first: git push paas main.")
        chosen = replace(run, size=size)
        one_off = _create(release, _ready_host(release), chosen, RUN_TIMEOUT, user=user, terminal=terminal)
        events.record(user, "one_off.create", one_off.id, app, name=one_off.name)
    return one_off


def run_release_command(deployment: Deployment, host: Host, command: str) -> OneOff:
    """Start the release phase of a deployment. There is at most one per deployment."""
    run = Run(command, DEFAULT_SIZE, process_type="release")
    return _create(deployment.release, host, run, RELEASE_TIMEOUT, deployment=deployment)


def run_of_release(release: Release, command: str, process_type: str, user: User | None = None) -> OneOff:
    """Start a command that the app's code asks for. Raises Unavailable when no host is ready."""
    run = Run(command, DEFAULT_SIZE, process_type=process_type)
    return _create(release, _ready_host(release), run, RUN_TIMEOUT, user=user)


def _create(
    release: Release,
    host: Host,
    run: Run,
    timeout: float,
    *,
    user: User | None = None,
    deployment: Deployment | None = None,
    terminal: Terminal | None = None,
) -> OneOff:
    one_off_id, size = uuid4(), run.size or DEFAULT_SIZE
    name = f"{run.process_type}.{secrets.randbelow(9000) + 1000}"
    while OneOff.objects.filter(app=release.app, name=name).exists():
        name = f"{run.process_type}.{secrets.randbelow(900000) + 1000}"
    spec = one_off_spec(release, name, run.command, size, run.env, one_off_id, timeout, terminal)
    one_off = OneOff.objects.create(
        id=one_off_id,
        app=release.app,
        release=release,
        deployment=deployment,
        user=user,
        host=host,
        name=name,
        command=run.command,
        size=size,
        spec=encrypt(encode(spec)),
    )
    enqueue("one_offs.send_one_off", str(one_off.id))
    return one_off


def _ready_host(release: Release) -> Host:
    """Return a host that answers and has what the release needs, its volumes too."""
    quiet, needs = timezone.now() - HOST_QUIET, release_sandbox(release).needs
    home = home_of(release.app_id) if release.volumes else None
    rows = Host.objects.filter(cordoned=False, seen_at__gte=quiet).order_by("-memory_bytes")
    ready = list(rows.filter(id=home) if home else rows)
    host = next((one for one in ready if needs <= offers(one)), None)
    if ready and host is None:
        wanted = " and ".join(sorted(needs))
        raise Unavailable(
            f"No host that is ready has the {wanted}, which the app has chosen; see `paas runtime`."
        )
    if host is None:
        raise Unavailable("No host is ready to run it; look at `paas hosts`, or try again in a moment.")
    return host


@transaction.atomic
def stop_one_off(user: User | None, one_off: OneOff) -> OneOff:
    """Ask its host to end it (TERM, grace, KILL). A no-op for one that is over."""
    lock_app(one_off.app_id)
    running = OneOff.objects.filter(id=one_off.id, finished_at__isnull=True)
    if not running.update(stop_requested=True, updated_at=timezone.now()):
        one_off.refresh_from_db()
        return one_off
    events.record(user, "one_off.stop", one_off.id, one_off.app, name=one_off.name)
    enqueue("one_offs.stop_one_off", str(one_off.id))
    one_off.refresh_from_db()
    return one_off


def give_up(one_off: OneOff, now: datetime) -> None:
    """Its host is lost: nobody will say how it ended."""
    finished(one_off, JobState.FAILED, LOST, now)


def finished(one_off: OneOff, state: str, exit: ExitInfo | None, now: datetime) -> None:
    """Note how it ended, once; a release phase makes the planner look again."""
    running = OneOff.objects.filter(id=one_off.id, finished_at__isnull=True)
    over = running.update(state=state, exit=stored_exit(exit), finished_at=now, updated_at=now)
    if over and one_off.deployment_id:
        enqueue("planning.reconcile_app", str(one_off.app_id))
    if over and one_off.name.partition(".")[0] in TOLD:
        enqueue("schedules.tell_end", str(one_off.id))
