"""The hosts of the platform, as its administrators manage them.

In: an administrator and a host.  Out: rows, audit events, and hints to the planner, which does the moving.
"""

from __future__ import annotations

import logging

from django.db import transaction
from django.utils import timezone

from paas.controller.agents import agent
from paas.controller.models import Build, Host, Instance, OneOff, Router, User
from paas.controller.queue import enqueue
from paas.controller.selectors.planning import STALE
from paas.controller.services import deployments, events
from paas.controller.services.locking import lock_hosts, lock_instances
from paas.errors import Conflict, InvalidParams, NotFound
from runtime.client import AgentRefused, AgentUnavailable
from runtime.model import WantedState

logger = logging.getLogger(__name__)
LAST_WORD = 1000  # past any order that is still on its way to it


def set_cordoned(user: User, host: Host, on: bool) -> Host:
    """Keep a host from getting anything new, or let it get things again. What runs there stays."""
    with transaction.atomic():
        row = _locked(host)
        if row.cordoned != on:
            Host.objects.filter(id=row.id).update(cordoned=on, updated_at=timezone.now())
            events.record(user, "host.cordon" if on else "host.uncordon", row.id, name=row.name)
            _look_again(row)
    host.refresh_from_db()
    return host


def drain(user: User, host: Host) -> Host:
    """Cordon a host and have everything on it replaced elsewhere; each instance serves until its replacement is up.

    One-offs and builds run to their end. Without room on other hosts instances stay, and are tried again.
    """
    with transaction.atomic():
        row = _locked(host)
        Host.objects.filter(id=row.id).update(cordoned=True, updated_at=timezone.now())
        running = lock_instances(Instance.objects.filter(host=row, wanted=Instance.Wanted.RUN))
        for instance in running:
            Instance.objects.filter(id=instance.id).exclude(template__startswith=STALE).update(
                template=f"{STALE}{instance.id.hex[:24]}",
                reason="its host is drained",
                updated_at=timezone.now(),
            )
        events.record(user, "host.drain", row.id, name=row.name, count=len(running))
        _look_again(row)
    host.refresh_from_db()
    return host


def _look_again(host: Host) -> None:
    apps = Instance.objects.filter(host=host).values_list("app_id", flat=True).distinct()
    for app_id in apps:
        enqueue("planning.reconcile_app", str(app_id))


def remove(user: User, host: Host, *, reason: str = "") -> Host:
    """Take a host off the platform; its certificate is refused from now on. Returns it as it was.

    Raises Conflict while something runs there, unless `reason` says why it goes all the same: then what it runs is
    started elsewhere, and the host is told to stop it, if it can be told.
    """
    if not Host.objects.exclude(id=host.id).exists():
        raise Conflict("This is the only host of the platform; join another one before you remove it.")
    with transaction.atomic():
        lock_hosts()
        row = _locked(host)
        left = _what_runs(row)
        if left and not reason:
            raise Conflict(
                f"{row.name} still runs {left}. Drain it first (`paas hosts:drain {row.name}`), or give a reason to "
                "remove it all the same."
            )
        apps = set(Instance.objects.filter(host=row).values_list("app_id", flat=True))
        others = set(Host.objects.exclude(id=row.id).values_list("id", flat=True))
        events.record(user, "host.remove", row.id, name=row.name, reason=reason, left=left)
        deployments.touch_hosts(others)
        gone = Host.objects.get(id=row.id)
        Router.objects.filter(name=row.name, joined=True).delete()
        Host.objects.filter(id=row.id).delete()
        deployments.bump_routes()
        for app_id in apps:
            enqueue("planning.reconcile_app", str(app_id))
    if left or apps:  # apps alone: what was told to stop may not have heard of it yet
        _clear(gone)
    return gone


def _what_runs(host: Host) -> str:
    counts = {
        "instance": Instance.objects.filter(host=host).exclude(wanted=Instance.Wanted.STOP).count(),
        "one-off": OneOff.objects.filter(host=host, finished_at__isnull=True).count(),
        "build": Build.objects.filter(host=host, finished_at__isnull=True).count(),
    }
    return ", ".join(f"{count} {what}{'s' * (count > 1)}" for what, count in counts.items() if count)


def _clear(host: Host) -> None:
    """Have the host stop everything, so that nothing runs twice. It is told once: nobody will hear of it again."""
    try:
        agent(host).put_wanted(WantedState(generation=host.generation + LAST_WORD))
    except (AgentUnavailable, AgentRefused, OSError) as error:
        logger.warning("%s is removed without having stopped its instances: %s", host.name, error)


def _locked(host: Host) -> Host:
    found = lock_hosts([host.id])
    if not found:
        raise NotFound("That host has been removed.", resource="host")
    return found[0]


def check_reason(force: bool, reason: str) -> str:
    """Return the reason of a removal by force, '' without force. Raises InvalidParams when it has none."""
    if force and not reason.strip():
        raise InvalidParams("Say why: a host is removed by force with a reason, which the audit trail keeps.")
    return reason.strip() if force else ""
