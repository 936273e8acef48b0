"""Scripts of app.json that run once a release serves: `postdeploy` after an app's first deploy, Dokku's after each.

In: a deployment that went live.  Out: rows, each of which becomes one one-off of the release, and never a second.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from paas.controller.models import App, Deployment, OneOff, Release, Script
from paas.controller.queue import enqueue
from paas.controller.selectors.planning import describe_exit
from paas.controller.services import build_output, events, logs, one_offs
from paas.controller.services.locking import lock_app_if_there
from paas.errors import Unavailable
from runtime.model import ExitInfo, ExitReason

POSTDEPLOY, DEPLOYED = "postdeploy", "deployed"


def note(deployment: Deployment) -> None:
    """Note what is to run, in the transaction that makes the release live."""
    release = deployment.release
    declared: dict[str, str] = release.slug.declared.get("scripts", {}) if release.slug else {}
    for name in (POSTDEPLOY, DEPLOYED):
        command = declared.get(name)
        if command and (_is_first(release) if name == POSTDEPLOY else _is_new(release)):
            fields = {"app_id": deployment.app_id, "release": release, "name": name}
            Script.objects.get_or_create(**fields, defaults={"command": command})
            build_output.say(deployment, f"-----> Script {name}: {command} (its output is in the app's log)")
            enqueue("schedules.run_scripts", str(release.app_id))


def _is_first(release: Release) -> bool:
    """No code of the app has served before, and the script has never been noted."""
    noted = Script.objects.filter(app_id=release.app_id, name=POSTDEPLOY)
    return not _served(release).filter(slug__isnull=False).exists() and not noted.exists()


def _is_new(release: Release) -> bool:
    """This very code has not served before: not a change of config, nor a rollback."""
    return not _served(release).filter(slug=release.slug).exists()


def _served(release: Release) -> QuerySet[Release]:
    others = Release.objects.filter(app_id=release.app_id, status=Release.Status.SUCCEEDED)
    return others.exclude(id=release.id)


def run_scripts(app_id: str) -> None:
    """Start what is noted. A host that is missing now is there at a later look; each row starts at most once."""
    with transaction.atomic():
        app = lock_app_if_there(UUID(app_id))
        if app is None:
            return
        for script in Script.objects.filter(app=app, started_at__isnull=True).order_by("id"):
            _start(app, script)


def _start(app: App, script: Script) -> None:
    release = Release.objects.select_related("app", "slug").get(id=script.release_id)
    try:
        one_off = one_offs.run_of_release(release, script.command, script.name)
    except Unavailable:
        return
    script.one_off, script.started_at = one_off, timezone.now()
    script.save(update_fields=["one_off", "started_at"])
    logs.say(app.id, f"Script {script.name} of v{release.version} starts as {one_off.name}: {script.command}")


def waiting_apps() -> list[str]:
    return [
        str(one) for one in Script.objects.filter(started_at__isnull=True).values_list("app_id", flat=True)
    ]


def ended(one_off: OneOff, exit: ExitInfo | None) -> None:
    """Tell a script's end; one that failed is told with what to do, as nothing else shows it."""
    if exit is not None and exit.reason is ExitReason.EXITED and exit.code == 0:
        logs.say(one_off.app_id, f"{one_off.name} succeeded")
        return
    how = describe_exit(exit) if exit else "ended without a word"
    logs.say(one_off.app_id, f"{one_off.name} failed: it {how}. Run it again: paas run {one_off.command}")
    events.record(None, "script.fail", one_off.id, one_off.app, name=one_off.name)
