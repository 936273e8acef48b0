"""Who speaks to the registry, and to which app's part of it.

In: Basic or Bearer credentials; a repository's name.  Out: an account and an app, or a challenge in the words of the
OCI distribution spec and of Docker's token specification.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from paas.controller.api.authentication import READERS, SAFE_METHODS, WRITERS, check_scope, read_credentials
from paas.controller.api.rendering import origin
from paas.controller.api.secrets import sign, unsign
from paas.controller.models import App, Token, User
from paas.controller.selectors.apps import access_app
from paas.controller.services.accounts import authenticate_token
from paas.errors import InvalidParams, NotFound, Unauthorized

TOKEN_SECONDS = 3600
NAME = re.compile(r"([a-z0-9-]+)(?:/([A-Za-z0-9_-]{1,63}))?")


@dataclass(frozen=True)
class Caller:
    user: User
    token: Token | None


@dataclass(frozen=True)
class Repository:
    """APP (its releases) or APP/PROCESS_TYPE (what is pushed for it)."""

    app: App
    process_type: str = ""

    @property
    def name(self) -> str:
        return f"{self.app.name}/{self.process_type}" if self.process_type else self.app.name


def challenge(request: HttpRequest) -> str:
    scope = ""
    parts = request.path.split("/")
    if len(parts) > 4:
        found = re.match(r"/v2/(.+?)/(?:manifests|blobs|tags|referrers)/", request.path)
        actions = "pull" if request.method in SAFE_METHODS else "pull,push"
        scope = f',scope="repository:{found[1]}:{actions}"' if found else ""
    return f'Bearer realm="{origin(request)}/v2/token",service="paas"{scope}'


def caller_of(request: HttpRequest) -> Caller:
    """Return who calls. Raises Unauthorized."""
    header = request.headers.get("Authorization", "").strip()
    scheme = header.partition(" ")[0].lower()
    secret = read_credentials(header)[1]
    if scheme == "bearer" and secret and not secret.startswith("paas_"):
        return _by_registry_token(secret)
    found = authenticate_token(secret) if secret else None
    if found is None:
        raise Unauthorized("Log in to the registry with any user name and a token of yours as the password.")
    return Caller(*found)


def issue(caller: Caller) -> str:
    """Return a token for the registry alone, good for an hour."""
    content: dict[str, Any] = {
        "user": str(caller.user.id),
        "token": str(caller.token.id) if caller.token else "",
    }
    return sign("registry", content)


def _by_registry_token(text: str) -> Caller:
    try:
        content = unsign("registry", text, TOKEN_SECONDS)
    except NotFound as error:
        raise Unauthorized("The registry token is not valid or has expired.") from error
    user = User.objects.filter(id=content["user"], is_active=True).first()
    token = Token.objects.filter(id=content["token"]).first() if content["token"] else None
    if user is None or (content["token"] and token is None):
        raise Unauthorized("The token behind this registry token was revoked.")
    return Caller(user, token)


def repository_of(request: HttpRequest, name: str) -> Repository:
    """Return the repository, if the caller may do this with it. Raises NotFound, Forbidden."""
    caller = caller_of(request)
    check_scope(caller.token, READERS if request.method in SAFE_METHODS else WRITERS)
    match = NAME.fullmatch(name)
    if match is None:
        raise InvalidParams(f"{name[:100]!r} is not APP or APP/PROCESS_TYPE.", id="name_invalid")
    request.caller = caller  # type: ignore[attr-defined]
    return Repository(access_app(caller.user, match[1]), match[2] or "")


def pushable(repository: Repository) -> Repository:
    """Raise InvalidParams unless images can be pushed there."""
    if not repository.process_type:
        name = repository.app.name
        raise InvalidParams(
            f"Push to {name}/web (or another process type); {name} itself holds the releases, to be pulled.",
            id="name_invalid",
        )
    return repository
