"""The people of the platform, as its admins manage them.

In: an admin and an account.  Out: rows, and a password that an admin made exactly once in plain.
"""

from __future__ import annotations

import secrets

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, Q

from paas.controller.models import Network, User
from paas.controller.selectors.users import find_user
from paas.controller.services import accounts, events
from paas.controller.services.locking import lock_accounts
from paas.errors import Conflict, Forbidden, NotFound

PASSWORD_BYTES = 12  # 96 random bits, 16 characters


def check_admin(user: User) -> None:
    if not (user.is_admin and user.is_active):
        raise Forbidden("Only an admin of this platform can manage accounts. Ask one of them.")


def invite_user(admin: User, email: str, *, name: str = "", is_admin: bool = False) -> tuple[User, str]:
    """Make an account. Returns it with a password that is stored nowhere and that its person has to replace."""
    check_admin(admin)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    user = accounts.create_user(
        email.strip(), password, name=name, is_admin=is_admin, temporary=True, by=admin
    )
    return find_user(str(user.id)), password


@transaction.atomic
def reset_password(admin: User, user: User) -> tuple[User, str]:
    """Replace a password by one that its person has to replace. Browsers are signed out; tokens stay good."""
    user = _locked(admin, user)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    user.set_password(password)
    user.password_temporary = True
    user.save(update_fields=["password", "password_temporary", "updated_at"])
    events.record(admin, "user.reset", user.id, email=user.email)
    return find_user(str(user.id)), password


@transaction.atomic
def set_active(admin: User, user: User, on: bool) -> User:
    """Disable or enable an account. A disabled one is refused by browser, token and git at once; its apps run on."""
    user = _locked(admin, user, keeps_admins=on)
    if user.is_active != on:
        user.is_active = on
        user.save(update_fields=["is_active", "updated_at"])
        events.record(admin, "user.enable" if on else "user.disable", user.id, email=user.email)
    return find_user(str(user.id))


@transaction.atomic
def set_admin(admin: User, user: User, on: bool) -> User:
    """Make somebody an admin, or no longer one."""
    user = _locked(admin, user, keeps_admins=on)
    if user.is_admin != on:
        user.is_admin = on
        user.save(update_fields=["is_admin", "updated_at"])
        events.record(admin, "user.promote" if on else "user.demote", user.id, email=user.email)
    return find_user(str(user.id))


def delete_user(admin: User, user: User) -> User:
    """Delete an account with its tokens; networks that it made are the admin's from then on.

    Raises Conflict while it owns apps. Returns it as it was.
    """
    try:
        with transaction.atomic():
            _locked(admin, user, keeps_admins=False)
            gone = find_user(str(user.id))
            events.record(admin, "user.delete", gone.id, email=gone.email)
            Network.objects.filter(owner=gone).update(owner=admin)
            User.objects.filter(id=gone.id).delete()
    except (ProtectedError, IntegrityError) as error:
        raise Conflict(
            f"{user.email} owns apps. Transfer or destroy them first, or disable the account: its apps run on."
        ) from error
    return gone


def _locked(admin: User, user: User, *, keeps_admins: bool = True) -> User:
    """Return the account as it is now, locked. Raises Forbidden for who is no admin, Conflict for the last one.

    All admins are locked with it: two of them cannot disable each other at the same time.
    """
    check_admin(admin)
    rows = lock_accounts(User.objects.filter(Q(is_admin=True, is_active=True) | Q(id=user.id)))
    admins = {row.id for row in rows if row.is_admin and row.is_active}
    found = next((row for row in rows if row.id == user.id), None)
    if admin.id not in admins:
        raise Forbidden("You are no longer an admin of this platform.")
    if found is None:
        raise NotFound("That account has been deleted.", resource="account")
    if not keeps_admins and admins == {found.id}:
        raise Conflict(f"{found.email} is the last admin. Make somebody else an admin first.")
    return found
