"""Reading accounts.

In: an e-mail address or an id.  Out: rows of people.
"""

from __future__ import annotations

from uuid import UUID

from django.db.models import Count, QuerySet

from paas.controller.models import User
from paas.controller.texts import storable
from paas.errors import NotFound


def users() -> QuerySet[User]:
    """Return every account by address, each with `app_count`: how many apps it owns."""
    return User.objects.annotate(app_count=Count("apps")).order_by("email")


def find_user(email_or_id: str) -> User:
    """Return the account. Raises NotFound."""
    try:
        found = users().filter(id=UUID(email_or_id)).first()
    except ValueError:
        found = users().filter(email=storable(email_or_id).strip().lower()).first()
    if found is None:
        raise NotFound(
            f"There is no account for {email_or_id[:254]} on this platform. "
            "An admin can make one: paas users:add EMAIL.",
            resource="account",
        )
    return found
