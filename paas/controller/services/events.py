"""The audit trail.

In: who did what.  Out: one row, in the caller's transaction.
"""

from __future__ import annotations

from typing import Any

from paas.controller.models import App, Event, User
from paas.controller.texts import storable


def record(user: User | None, action: str, resource: object, app: App | None = None, **data: Any) -> Event:
    """Write the event. `data` must hold no secret: names of config vars, never their values."""
    return Event.objects.create(
        actor=user,
        actor_email=user.email if user else "",
        app=app,
        app_name=app.name if app else "",
        action=action,
        resource=storable(str(resource))[:64],
        data={name: storable(value) if isinstance(value, str) else value for name, value in data.items()},
    )
