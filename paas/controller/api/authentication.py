"""Who calls: Bearer and Basic credentials, and what the scope of a token allows.

In: an `Authorization` header.  Out: the account and its token, or a 401 or 403 in words.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from paas.controller.api import limits
from paas.controller.api.errors import CHALLENGE, INVALID_CREDENTIALS
from paas.controller.models import Token, User
from paas.controller.services.accounts import authenticate_password, authenticate_token
from paas.errors import Forbidden, Unauthorized

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
SCOPES = ("global", "identity", "read", "write", "read-protected", "write-protected")
# "protected" adds config vars to what a scope may see; a scope that may write may also read.
READERS = {"global", "read", "write", "read-protected", "write-protected"}
PROTECTED = {"global", "read-protected", "write-protected"}
WRITERS = {"global", "write", "write-protected"}
EVERYONE = set(SCOPES)
GLOBAL = {"global"}
# Security requirements (OpenAPI 3.0.3, 4.8.30): one of the list is enough. The parameter is typed as names only.
BY_TOKEN: Any = [{"token": []}]
BY_PASSWORD: Any = [{"token": []}, {"password": []}]


class TokenAuthentication(BaseAuthentication):
    """`Bearer TOKEN`, or Basic with any user and the token as password (git, heroku3, pg:credentials)."""

    def authenticate(self, request: Request) -> tuple[User, Token | None] | None:
        header = request.headers.get("Authorization", "").strip()
        if not header:
            return None
        _, secret = read_credentials(header)
        found = authenticate_token(secret) if secret else None
        if found is None:
            raise Unauthorized(INVALID_CREDENTIALS)
        return found

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class LoginAuthentication(TokenAuthentication):
    """Also e-mail and password, for the endpoint that hands out tokens."""

    method = "POST"
    temporary = False  # whether a password that an admin made is good enough

    def authenticate(self, request: Request) -> tuple[User, Token | None] | None:
        email, password = read_credentials(request.headers.get("Authorization", "").strip())
        if request.method != self.method or "@" not in email:
            return super().authenticate(request)
        caller = f"{request.META.get('REMOTE_ADDR', '')} {email.strip().lower()}"
        limits.refuse_when_spent(limits.FAILED_LOGINS, caller)
        user = authenticate_password(email, password)
        if user is None:
            limits.spend(limits.FAILED_LOGINS, caller)
            raise Unauthorized("The e-mail address or the password is wrong.")
        if user.password_temporary and not self.temporary:
            raise Forbidden(
                "This password was made by an admin and is good for choosing your own only: "
                "`paas login` asks for one, and so does the dashboard.",
                id="password_temporary",
            )
        return user, None


class PasswordAuthentication(LoginAuthentication):
    """The same for the endpoint that changes the password: who has only just been invited has no token yet."""

    method = "PATCH"
    temporary = True


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "paas.controller.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class LoginScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "paas.controller.api.authentication.LoginAuthentication"
    match_subclasses = True
    name = "password"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "basic", "description": "E-mail address and password."}


def read_credentials(header: str) -> tuple[str, str]:
    """Return user and secret of an Authorization header; both are empty when it makes no sense."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return "", value.strip()
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, secret


def check_scope(token: Token | None, allowed: set[str]) -> None:
    """Raise Forbidden unless the token's scope is among those allowed. No token: a person, with their password."""
    if token is not None and not allowed & set(token.scope):
        names = ", ".join(sorted(token.scope)) or "none"
        raise Forbidden(f"This token's scope ({names}) does not allow this. Use one with the scope global.")
