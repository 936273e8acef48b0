"""The audit trail in words.

In: rows of events.  Out: who did what to which app and when, without a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from paas.controller.models import App, Event
from paas.controller.texts import storable

Data = Mapping[str, Any]
Words = str | Callable[[Data], str]

RELEASES = {
    "initial": "made the first release, {version}",
    "deploy": "released new code as {version}",
    "config": "changed config vars: {version}",
    "formation": "changed the formation: {version}",
    "domains": "changed the domains: {version}",
    "kernel": "changed kernel parameters: {version}",
    "sandbox": "changed the isolation: {version}",
    "volumes": "changed where volumes are mounted: {version}",
    "rollback": "rolled back: {version}",
}


def _release(data: Data) -> str:
    return RELEASES.get(str(data.get("kind")), "made release {version}").format(
        version=f"v{data.get('version', '?')}"
    )


def _restart(data: Data) -> str:
    what = data["resource"]
    return "restarted every instance" if what == "all" else f"restarted {what}"


def _egress(data: Data) -> str:
    whose = "builds of the app" if data.get("stage") == "build" else "the app"
    policies = {"allow": "everywhere", "deny": "nowhere"}
    return f"let {whose} go {policies.get(str(data.get('policy')), 'to ' + ', '.join(data.get('rules', ())))}"


def _buildpacks(data: Data) -> str:
    chosen = ", ".join(map(str, data.get("buildpacks") or ()))
    return f"chose the buildpacks {chosen}" if chosen else "left the buildpack to detection"


def _path(data: Data) -> str:
    return f"chose the folder {data['path']} of the source" if data.get("path") else "chose the whole source"


def _commit(words: str) -> Callable[[Data], str]:
    def say(data: Data) -> str:
        commit = str(data.get("commit") or "")[:8]
        return f"{words} of {commit}" if commit else words

    return say


def _created(data: Data) -> str:
    kind = "an admin's account" if data.get("admin") else "an account"
    return f"made {kind} for {data.get('email', 'somebody')}"


def _token(words: str) -> Callable[[Data], str]:
    def say(data: Data) -> str:
        description = data.get("description")
        return f"{words} “{description}”" if description else words

    return say


# What each action says; {names} are the event's data, `resource` among them.
WORDS: dict[str, Words] = {
    "app.buildpacks": _buildpacks,
    "app.create": "created the app {name}",
    "app.destroy": "destroyed the app {name}",
    "app.egress": _egress,
    "app.rename": "renamed the app from {old} to {new}",
    "app.transfer": "transferred the app from {old} to {new}",
    "app.maintenance": lambda data: f"switched maintenance mode {'on' if data.get('on') else 'off'}",
    "app.stack": "chose the stack {stack}",
    "build.create": _commit("started a build"),
    "build.cancel": "cancelled a build",
    "collaborator.add": "added {email} as a collaborator",
    "collaborator.remove": "removed the collaborator {email}",
    "cron.pause": "paused the scheduled command {resource} ({schedule})",
    "cron.resume": "resumed the scheduled command {resource} ({schedule})",
    "cron.run": "started {name}, which is scheduled at {schedule}",
    "deployment.cancel": "cancelled a deployment",
    "deployment.fail": "ended a failed deployment ({error})",
    "dyno.exec": "ran a command in {name}",
    "dyno.copy": "copied {path} {way} {name}",
    "dyno.forward": "forwarded port {port} of {name}",
    "dyno.restart": _restart,
    "dyno.stop": "stopped {resource}",
    "network.create": "made the network {name}",
    "network.destroy": "destroyed the network {name}",
    "network.join": "joined the network {name}",
    "network.leave": "left the network {name}",
    "one_off.create": "started {name}",
    "one_off.stop": "stopped {name}",
    "push.accept": _commit("finished a push"),
    "release.create": _release,
    "script.fail": "noted that {name} failed",
    "source.connect": "connected the app to {url}, branch {branch}",
    "source.disconnect": "disconnected the app from {url}",
    "source.path": _path,
    "source.secret": "replaced the secret of the hook",
    "token.create": _token("made an API token"),
    "token.describe": _token("described an API token as"),
    "token.revoke": "revoked an API token",
    "user.create": _created,
    "user.delete": "deleted the account of {email}",
    "user.demote": "made {email} an ordinary account",
    "user.disable": "disabled the account of {email}",
    "user.enable": "enabled the account of {email}",
    "user.name": "changed their name",
    "user.password": "changed their password",
    "user.promote": "made {email} an admin",
    "user.reset": "replaced the password of {email}",
}


@dataclass(frozen=True)
class Entry:
    """One event. `who` is empty for the platform itself; `link`: the app's name if it can be opened now."""

    at: datetime
    who: str
    what: str
    app: str
    link: str


def trail(app: App | None = None, search: str = "") -> QuerySet[Event]:
    """Return the events of an app or of everything, newest first; `search` is part of a person, app or action."""
    found = Event.objects.select_related("actor", "app").order_by("-id")
    if app is not None:
        found = found.filter(app=app)
    if search:
        text = storable(search)
        names = ("actor_email", "app_name", "action", "data__email")
        wanted = Q()
        for name in names:
            wanted |= Q(**{f"{name}__icontains": text})
        found = found.filter(wanted)
    return found


def entry(event: Event) -> Entry:
    """Return an event in words."""
    return Entry(
        at=event.at,
        who=event.actor.email if event.actor else event.actor_email,
        what=describe(event.action, event.resource, event.data),
        app=event.app.name if event.app else event.app_name,
        link=event.app.name if event.app else "",
    )


def describe(action: str, resource: str, data: Data) -> str:
    """Return what an action did. One that has no words yet is named as it is."""
    words = WORDS.get(action)
    known = {**data, "resource": resource}
    if words is None:
        return f"{action.replace('.', ' ').replace('_', ' ')} {resource}"
    return words(known) if callable(words) else words.format_map(_Known(known))


class _Known(dict[str, Any]):
    """Old events may lack what newer ones record."""

    def __missing__(self, key: str) -> str:
        return "?"
