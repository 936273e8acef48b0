"""Changing how the processes of an app are isolated: OCI runtime, seccomp profile, read-only root.

In: names that hosts offer, or '' to go back to the hosts' own.  Out: a release, or None when nothing changes.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from django.db import transaction
from django.utils import timezone

from paas.controller.models import App, Release, User
from paas.controller.selectors.planning import HOST_QUIET
from paas.controller.selectors.sandbox import Offered, Sandbox, offered, sandbox_of
from paas.controller.services.locking import lock_app
from paas.controller.services.releases import create_release
from paas.errors import InvalidParams


def set_sandbox(
    user: User,
    app: App,
    *,
    runtime: str | None = None,
    seccomp: str | None = None,
    readonly: bool | None = None,
) -> Release | None:
    """Apply what is given in one release. Raises InvalidParams for what no host offers; then nothing changes."""
    given = {"runtime": runtime, "seccomp": seccomp, "readonly": readonly}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    _check(offered(timezone.now() - HOST_QUIET), runtime or "", seccomp or "")
    with transaction.atomic():
        app = lock_app(app.id)
        before = sandbox_of(app)
        after = replace(before, **changes)
        if after == before:
            return None
        return create_release(user, app, Release.Kind.SANDBOX, describe(before, after), sandbox=after.stored)


def _check(there: Offered, runtime: str, seccomp: str) -> None:
    if runtime and runtime not in there.runtimes:
        raise InvalidParams(_none("runtime", runtime, there.runtimes, there.problems))
    if seccomp and seccomp not in there.seccomp:
        raise InvalidParams(_none("seccomp profile", seccomp, there.seccomp, ()))


def _none(kind: str, name: str, there: tuple[str, ...], problems: tuple[str, ...]) -> str:
    has = f"there are: {', '.join(there)}" if there else "there is none"
    why = next((f" {problem}" for problem in problems if f" {name} " in problem), "")
    return f"No host that is ready has the {kind} {name!r}; {has}.{why}"


def describe(before: Sandbox, after: Sandbox) -> str:
    """Return a release's description."""
    old, new = asdict(before), asdict(after)
    words = [f"{name}={_shown(new[name])}" for name in new if old[name] != new[name]]
    return f"Set {', '.join(words)}"


def _shown(value: object) -> str:
    return "on" if value is True else "off" if value is False else str(value) or "the host's"
