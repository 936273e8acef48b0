"""The audit trail.

In: who did what.  Out: one row, in the caller's transaction.
"""

from __future__ import annotations

from typing import Any

from paas.controller.models import App, Event, User


def record(user: User | None, action: str, resource: object, app: App | None = None, **data: Any) -> Event:
    """Write the event. `data` must hold no secret: names of config vars, never their values."""
    return Event.objects.create(
        actor=user,
        actor_email=user.email if user else "",
        app=app,
        app_name=app.name if app else "",
        action=action,
        resource=str(resource)[:64],
        data=data,
    )
