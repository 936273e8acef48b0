"""The lock that serialises changes of one app.

In: an app inside a transaction.  Out: its row, locked until the transaction ends.
"""

from __future__ import annotations

from uuid import UUID

from paas.controller.models import App
from paas.errors import NotFound


def lock_app(app_id: UUID) -> App:
    """Return the app locked (PostgreSQL: the row; SQLite: the whole database, which BEGIN IMMEDIATE holds anyway)."""
    app = App.objects.select_for_update().filter(id=app_id).first()
    if app is None:
        raise NotFound("That app has been destroyed.", resource="app")
    return app
