"""Rights over time: what goes on for longer than a request ends soon after its reader has lost the app.

In: an endless iterator and whose it is.  Out: the same, until the account is disabled or no longer works on the app.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import TypeVar
from uuid import UUID

from django.db import connection

from paas.controller.models import User
from paas.controller.selectors.apps import visible_apps

REVIEW = 5.0  # seconds between two looks

Item = TypeVar("Item")


def has_access(user_id: UUID | str, app_id: UUID | str) -> bool:
    """Tell whether an account may see an app now."""
    user = User.objects.filter(id=user_id).first()
    return user is not None and visible_apps(user).filter(id=app_id).exists()


def while_allowed(
    items: Iterator[Item], user_id: UUID | str, app_id: UUID | str, every: float = REVIEW
) -> Iterator[Item]:
    """Yield the items as long as the account may see the app. `items` must come at least every few seconds."""
    looked = time.monotonic()
    with closing(items):  # type: ignore[type-var]
        for item in items:
            if time.monotonic() - looked >= every:
                looked = time.monotonic()
                if not _look(user_id, app_id):
                    return
            yield item


def _look(user_id: UUID | str, app_id: UUID | str) -> bool:
    try:
        return has_access(user_id, app_id)
    finally:
        # A stream waits far longer than it reads: it must not keep a database connection meanwhile.
        if not connection.in_atomic_block:
            connection.close()
