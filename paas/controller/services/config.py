"""Changing config vars.

In: names with new values, or None to remove.  Out: a release, or None when nothing changes.
"""

from __future__ import annotations

import re

from django.conf import settings
from django.db import transaction

from paas.controller.models import App, Release, User
from paas.controller.selectors.config import config_vars
from paas.controller.services.locking import lock_app
from paas.controller.services.releases import create_release
from paas.errors import InvalidParams

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED = frozenset({"PORT", "DYNO", "PS", "HOME", "LD_PRELOAD"})


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


def check_variable(name: str, value: str | None) -> None:
    """Raise InvalidParams unless an environment can carry `value` under `name`. None: to be removed."""
    if not NAME.fullmatch(name):
        raise InvalidParams(
            f"{name!r} cannot name a config var: letters, digits and _, not starting with a digit."
        )
    if name in RESERVED:
        raise InvalidParams(f"{name} is set by the platform and cannot be a config var.")
    if value is not None and not isinstance(value, str):
        raise InvalidParams(f"The value of {name} must be a string.")
    if value is not None and "\0" in value:
        raise InvalidParams(f"The value of {name} holds a NUL character, which no environment can carry.")
    if value is not None and not _is_text(value):
        raise InvalidParams(f"The value of {name} is not valid UTF-8.")


def _size(values: dict[str, str]) -> int:
    return sum(len(name.encode()) + len(value.encode()) for name, value in values.items())


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


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
