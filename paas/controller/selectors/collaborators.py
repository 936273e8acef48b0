"""Reading who may work on an app.

In: an app.  Out: its owner and its collaborators.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from paas.controller.models import App, User
from paas.errors import NotFound


@dataclass(frozen=True)
class Member:
    """One of them. `role` is owner or collaborator; the owner's id follows from the app and the account."""

    id: UUID
    user: User
    role: str
    created_at: datetime
    updated_at: datetime


def members(app: App) -> list[Member]:
    """Return the owner, then the collaborators in the order in which they were added."""
    owner_id = uuid5(app.id, f"owner {app.owner_id}")
    owner = Member(owner_id, app.owner, "owner", app.created_at, app.created_at)
    others = app.collaborators.select_related("user").order_by("created_at", "id")
    return [
        owner,
        *(Member(one.id, one.user, "collaborator", one.created_at, one.updated_at) for one in others),
    ]


def find_member(app: App, identity: str) -> Member:
    """Return one of them by e-mail address, by the account's id or by the collaborator's. Raises NotFound."""
    wanted = identity.strip().lower()
    for member in members(app):
        if wanted in (member.user.email, str(member.user.id), str(member.id)):
            return member
    raise NotFound(
        f"{identity[:254]} is not a collaborator on {app.name}.", app=app.name, resource="collaborator"
    )
