"""Changing config vars.

In: names with new values, or None to remove.  Out: a release, or None when nothing changes.
"""

from __future__ import annotations

from django.conf import settings
from django.db import transaction

from paas.controller.models import App, Release, User
from paas.controller.selectors.config import config_vars
from paas.controller.services.locking import lock_app
from paas.controller.services.releases import create_release
from paas.controller.services.variables import check_variable
from paas.errors import InvalidParams


def set_config(user: User, app: App, changes: dict[str, str | None]) -> Release | None:
    """Apply `changes` in one release. Raises InvalidParams before anything changes."""
    for name, value in changes.items():
        check_variable(name, value)
    with transaction.atomic():
        app = lock_app(app.id)
        before = config_vars(app)
        after = {**before, **{name: value for name, value in changes.items() if value is not None}}
        for name in (name for name, value in changes.items() if value is None):
            after.pop(name, None)
        if after == before:
            return None
        size = _size(after)
        limit = settings.PAAS.config_max_bytes
        if size > limit and size > _size(before):
            raise InvalidParams(f"The config vars would be {size} bytes together; the limit is {limit}.")
        return create_release(user, app, Release.Kind.CONFIG, describe(before, after), config=after)


def _size(values: dict[str, str]) -> int:
    return sum(len(name.encode()) + len(value.encode()) for name, value in values.items())


def describe(before: dict[str, str], after: dict[str, str]) -> str:
    """Return a release's description: names only, as Heroku words it."""
    written = sorted(name for name in after if before.get(name) != after[name])
    removed = sorted(set(before) - set(after))
    parts = []
    if written:
        parts.append(f"Set {', '.join(written)} config vars")
    if removed:
        parts.append(f"Remove {', '.join(removed)} config vars")
    return " and ".join(parts)
