"""Who may work on an app, and whose it is.

In: an app and an e-mail address.  Out: rows; whoever is no longer among them is refused from the next request on.
"""

from __future__ import annotations

from django.db import IntegrityError, transaction

from paas.controller.models import App, Collaborator, User
from paas.controller.selectors.apps import may_administer
from paas.controller.selectors.collaborators import Member, find_member
from paas.controller.selectors.users import find_user
from paas.controller.services import events
from paas.controller.services.locking import lock_app
from paas.errors import Forbidden, InvalidParams


def check_administers(user: User, app: App, what: str) -> None:
    """Raise Forbidden unless `user` owns the app or is an admin. `what` ends "Only the owner can ..."."""
    if not may_administer(user, app):
        raise Forbidden(
            f"Only the owner of {app.name} ({app.owner.email}) or an admin can {what}.", app=app.name
        )


def add_collaborator(user: User, app: App, email: str) -> Collaborator:
    """Share an app with an account (by address or id). Raises NotFound for nobody, InvalidParams for one who is in."""
    try:
        with transaction.atomic():
            app = lock_app(app.id)
            check_administers(user, app, "share it")
            other = _usable(find_user(email))
            if other.id == app.owner_id:
                raise InvalidParams(f"{other.email} owns {app.name}.", app=app.name)
            added = Collaborator.objects.create(app=app, user=other)
            events.record(user, "collaborator.add", other.id, app, email=other.email)
    except IntegrityError as error:
        raise InvalidParams(f"{email} is a collaborator on {app.name} already.", app=app.name) from error
    return added


@transaction.atomic
def remove_collaborator(user: User, app: App, email: str) -> Member:
    """End somebody's work on an app, or one's own. Returns who it was."""
    app = lock_app(app.id)
    if not may_administer(user, app):
        mine = {user.email, str(user.id), *map(str, _own_ids(user, app))}
        if email.strip().lower() not in mine:
            check_administers(user, app, "remove others from it; you can only remove yourself")
    member = find_member(app, email)
    if member.role == "owner":
        raise InvalidParams(
            f"{member.user.email} owns {app.name}. Transfer it first: paas transfer EMAIL -a {app.name}.",
            app=app.name,
        )
    Collaborator.objects.filter(id=member.id).delete()
    events.record(user, "collaborator.remove", member.user.id, app, email=member.user.email)
    return member


def _own_ids(user: User, app: App) -> list[object]:
    return list(Collaborator.objects.filter(app=app, user=user).values_list("id", flat=True))


@transaction.atomic
def transfer_app(user: User, app: App, email: str) -> App:
    """Give an app to another account at once. The owner until now stays as a collaborator."""
    app = lock_app(app.id)
    check_administers(user, app, "transfer it")
    new, old = _usable(find_user(email)), app.owner
    if new.id == old.id:
        raise InvalidParams(f"{new.email} owns {app.name} already.", app=app.name)
    Collaborator.objects.filter(app=app, user=new).delete()
    Collaborator.objects.get_or_create(app=app, user=old)
    app.owner = new
    app.save(update_fields=["owner", "updated_at"])
    events.record(user, "app.transfer", new.id, app, old=old.email, new=new.email)
    return app


def _usable(other: User) -> User:
    if not other.is_active:
        raise InvalidParams(f"The account of {other.email} is disabled. An admin can enable it again.")
    return other
