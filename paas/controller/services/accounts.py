"""Accounts and tokens.

In: what a person typed.  Out: rows that hold only hashes, and the plain token exactly once.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils import timezone

from paas.controller.models import Token, User
from paas.controller.services import events
from paas.controller.texts import storable
from paas.errors import Conflict, InvalidParams, NotFound, Unauthorized

PASSWORD_MIN = 8
EMAIL_MAX = 254
EXPIRES_MAX = 10 * 366 * 24 * 3600
USED_EVERY = timedelta(
    minutes=1
)  # how exact last_used_at is: a write per request would cost more than it tells


def create_user(
    email: str,
    password: str,
    *,
    name: str = "",
    is_admin: bool = False,
    temporary: bool = False,
    by: User | None = None,
) -> User:
    """Create an account, in the name of `by` if it is for somebody else; a `temporary` password must be replaced.

    Raises InvalidParams for an address or password that cannot be used, Conflict if it exists.
    """
    try:
        validate_email(email)
    except ValidationError as error:
        raise InvalidParams(f"{email[:100]!r} is not an e-mail address.") from error
    if len(email) > EMAIL_MAX:
        raise InvalidParams(f"An e-mail address can have {EMAIL_MAX} characters.")
    _check_password(password)
    try:
        with transaction.atomic():
            user = User.objects.create_user(
                email,
                password,
                name=storable(name.strip())[:200],
                is_admin=is_admin,
                password_temporary=temporary,
            )
            events.record(by or user, "user.create", user.id, email=user.email, admin=is_admin)
    except IntegrityError as error:
        raise Conflict(f"There is an account for {email} already.") from error
    return user


def _check_password(password: str) -> None:
    if len(password) < PASSWORD_MIN:
        raise InvalidParams(f"A password needs at least {PASSWORD_MIN} characters.")
    if password != storable(password):
        raise InvalidParams("The password holds a character that cannot be typed.")


@transaction.atomic
def change_password(user: User, old: str, new: str) -> None:
    if not user.check_password(old):
        raise Unauthorized("The current password is wrong; nothing was changed.")
    _check_password(new)
    if new == old:
        raise InvalidParams("The new password is the current one; choose another.")
    user.set_password(new)
    user.password_temporary = False
    user.save(update_fields=["password", "password_temporary", "updated_at"])
    events.record(user, "user.password", user.id)


@transaction.atomic
def change_name(user: User, name: str) -> None:
    user.name = storable(name.strip())[:200]
    user.save(update_fields=["name", "updated_at"])
    events.record(user, "user.name", user.id)


def digest(plain: str) -> str:
    """Tokens are 256 random bits: a plain SHA-256 is enough, and looking one up by it leaks no timing."""
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


@transaction.atomic
def create_token(
    user: User, description: str = "", expires_in: int | None = None, scope: Sequence[str] = ("global",)
) -> tuple[Token, str]:
    """Return a new token and its plain text, which is stored nowhere. `expires_in` is seconds; None: never."""
    if expires_in is not None and not 1 <= expires_in <= EXPIRES_MAX:
        raise InvalidParams(f"A token can expire in 1 to {EXPIRES_MAX} seconds, or never.")
    plain = f"paas_{secrets.token_urlsafe(32)}"
    expires = timezone.now() + timedelta(seconds=expires_in) if expires_in is not None else None
    token = Token.objects.create(
        user=user,
        description=storable(description)[:200],
        digest=digest(plain),
        scope=list(scope),
        expires_at=expires,
    )
    events.record(user, "token.create", token.id, description=token.description)
    return token, plain


@transaction.atomic
def revoke_token(user: User, token_id: UUID | str) -> Token:
    """Delete one of the user's own tokens and return it as it was."""
    try:
        token = Token.objects.get(user=user, id=token_id)
    except (Token.DoesNotExist, ValidationError) as error:
        raise NotFound("Couldn't find that authorization.", resource="authorization") from error
    token_id = token.id
    token.delete()
    token.id = token_id
    events.record(user, "token.revoke", token_id)
    return token


@transaction.atomic
def describe_token(user: User, token: Token, description: str) -> Token:
    """Say what one of the user's own tokens is for."""
    token.description = storable(description)[:200]
    token.save(update_fields=["description", "updated_at"])
    events.record(user, "token.describe", token.id, description=token.description)
    return token


def authenticate_token(plain: str) -> tuple[User, Token] | None:
    """Return whose token it is, or None for an unknown, expired or disabled one."""
    token = Token.objects.select_related("user").filter(digest=digest(plain)).first()
    now = timezone.now()
    if token is None or not token.user.is_active or (token.expires_at and token.expires_at <= now):
        return None
    if token.last_used_at is None or now - token.last_used_at > USED_EVERY:
        Token.objects.filter(id=token.id).update(last_used_at=now)
    return token.user, token


def authenticate_password(email: str, password: str) -> User | None:
    """Return the account, or None. Takes as long for an unknown address as for a wrong password."""
    if email != storable(email) or password != storable(password):
        return None
    user = User.objects.filter(email=email.strip().lower()).first()
    if user is None:
        User().set_password(password)
        return None
    return user if user.check_password(password) and user.is_active else None
