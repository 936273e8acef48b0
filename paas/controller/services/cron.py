"""Scheduled commands: the `cron` of the app.json whose release serves, each time a one-off of that release.

In: releases that go live, the time, people.  Out: one-offs, at most one for each time that a schedule names.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from paas.controller.models import App, CronJob, Deployment, OneOff, User
from paas.controller.selectors.cron import TYPE, entries, find_jobs, is_of
from paas.controller.services import events, logs, one_offs
from paas.controller.services.locking import lock_app, lock_app_if_there
from paas.errors import Conflict, Unavailable
from paas.scheduler.cron import following, parse

LATE = timedelta(hours=1)  # a time that was missed by more is not made up for
AT_ONCE = 10  # scheduled one-offs of an app


def follow_release(deployment: Deployment) -> None:
    """Take over the schedule of a release that serves from now on; what stays keeps its next time.

    Entries that are gone are noticed when they come up: most apps have none, and this costs them nothing.
    """
    slug = deployment.release.slug
    declared: list[dict[str, Any]] = slug.declared.get("cron", []) if slug else []
    if not declared:
        return
    before = {one.number: one for one in CronJob.objects.filter(app_id=deployment.app_id)}
    paused = {one.command for one in before.values() if one.paused}
    for number, entry in enumerate(declared):
        known = before.get(number)
        if known is not None and is_of(known, entry):
            continue
        fields = {
            "schedule": entry["schedule"],
            "command": entry["command"],
            "paused": entry["command"] in paused,
            "last_at": None,
            "one_off": None,
        }
        due = following(parse(entry["schedule"]), timezone.now())
        CronJob.objects.update_or_create(
            app_id=deployment.app_id, number=number, defaults={**fields, "next_at": due}
        )
    CronJob.objects.filter(app_id=deployment.app_id, number__gte=len(declared)).delete()


def due_apps(now: datetime) -> list[str]:
    due = CronJob.objects.filter(next_at__lte=now, paused=False).values_list("app_id", flat=True)
    return [str(one) for one in dict.fromkeys(due)]


def start_due(app_id: str, now: datetime) -> None:
    """Start what has come up, each time once: its row moves on in the transaction that makes the one-off."""
    with transaction.atomic():
        if lock_app_if_there(UUID(app_id)) is None:
            return
        app = App.objects.select_related("current_release__slug", "current_release__app").get(id=app_id)
        declared = entries(app)
        due = CronJob.objects.filter(app=app, next_at__lte=now, paused=False)
        for job in due.select_related("one_off"):
            entry = declared[job.number] if job.number < len(declared) else None
            if entry is None or not is_of(job, entry):
                job.delete()
            else:
                _take(app, job, entry, now)


def run_now(user: User, app: App, identity: str) -> OneOff:
    """Start one by hand, paused or not, in maintenance mode too; its times stay as they are.

    What its app.json says of one that still runs holds. Raises NotFound, Conflict, Unavailable.
    """
    with transaction.atomic():
        app = lock_app(app.id)
        job, entry = find_jobs(app, identity)[0]
        if refusal := _too_many(app, job, entry):
            name = mine.name if (mine := _running(job)) else f"{TYPE}.NUMBER"
            raise Conflict(f"Not started: {refusal}. Wait for its end, or stop it: paas ps:stop {name}")
        one_off = _start(app, job, entry, user)
        job.last_at = timezone.now()
        job.save()
        logs.say(app.id, f"{one_off.name} starts by hand: {job.command}")
        events.record(user, "cron.run", identity, app, name=one_off.name, schedule=job.schedule)
    return one_off


@transaction.atomic
def set_paused(user: User, app: App, identity: str, paused: bool) -> None:
    """Let it start by itself or not. What was missed meanwhile is not made up for. A no-op where it is so already."""
    app = lock_app(app.id)
    found = [job for job, _ in find_jobs(app, identity) if job.paused != paused]
    for job in found:
        job.paused = paused
        job.next_at = following(parse(job.schedule), timezone.now())
        job.save()
    if found:
        action = "cron.pause" if paused else "cron.resume"
        events.record(user, action, identity, app, schedule=found[0].schedule)


def _take(app: App, job: CronJob, entry: dict[str, Any], now: datetime) -> None:
    refusal = _refusal(app, job, entry, now)
    if not refusal:
        try:
            one_off = _start(app, job, entry)
        except Unavailable:
            return  # tried again until it is too late; what runs goes on
        job.last_at = now
        logs.say(app.id, f"{one_off.name} starts by its schedule {job.schedule}: {job.command}")
    else:
        logs.say(app.id, f"Not started at {job.next_at:%H:%M} UTC: {job.command} ({refusal})")
    job.next_at = following(parse(job.schedule), now)
    job.save()


def _start(app: App, job: CronJob, entry: dict[str, Any], user: User | None = None) -> OneOff:
    """Start it, and stop the one before when it is to be replaced. Raises Unavailable, with nothing changed."""
    replaced = _running(job) if entry.get("policy") == "replace" else None
    assert app.current_release is not None
    job.one_off = started = one_offs.run_of_release(app.current_release, job.command, TYPE, user)
    if replaced is not None:
        one_offs.stop_one_off(user, replaced)
    return started


def _running(job: CronJob) -> OneOff | None:
    return job.one_off if job.one_off is not None and job.one_off.finished_at is None else None


def _refusal(app: App, job: CronJob, entry: dict[str, Any], now: datetime) -> str:
    """Return why it is left out this time, '' when it is not."""
    if now - job.next_at > LATE:
        return "the platform was away for too long"
    if app.maintenance and not entry.get("maintenance"):
        return "the app is in maintenance mode"
    return _too_many(app, job, entry)


def _too_many(app: App, job: CronJob, entry: dict[str, Any]) -> str:
    """Return why not another one of it, '' when one more may run."""
    running = OneOff.objects.filter(app=app, name__startswith=f"{TYPE}.", finished_at__isnull=True)
    mine = _running(job)
    policy = entry.get("policy", "allow")
    if mine is not None and policy == "forbid":
        return f"{mine.name} of the time before still runs"
    if mine is not None and policy == "replace":
        running = running.exclude(id=mine.id)
    if running.count() >= AT_ONCE:
        return f"{AT_ONCE} scheduled commands of the app run already"
    return ""
