"""The three URLs of git over HTTP, and a hint for everything else below `<app>.git/`.

In: requests of git clients with Basic credentials (a token as the password).  Out: streamed responses, or a status with
a sentence in plain text, which git shows as `remote: ...`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from functools import cache
from threading import BoundedSemaphore
from typing import TypeVar

from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from paas.controller.git import limits, port, receive, upload
from paas.controller.git.body import Body
from paas.controller.git.push import Push
from paas.controller.git.repositories import open_repository
from paas.controller.git.wire import advertise

RECEIVE, UPLOAD = "git-receive-pack", "git-upload-pack"
Response = TypeVar("Response", bound=HttpResponseBase)
_REALM = 'Basic realm="git", charset="UTF-8"'


class _Answer(Exception):
    """Ends a request with a status and a sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@cache
def _push_slots() -> BoundedSemaphore:
    return BoundedSemaphore(limits.from_settings().max_pushes)


@cache
def _fetch_slots() -> BoundedSemaphore:
    return BoundedSemaphore(limits.from_settings().max_clones)


@csrf_exempt
@require_GET
def info_refs(request: HttpRequest, app: str) -> HttpResponse:
    """Answer what refs there are: the first request of every push, clone and fetch."""
    service = request.GET.get("service", "")
    if service not in (RECEIVE, UPLOAD):
        return hint(request, app)
    try:
        _, repository = _open(request, app, service)
    except _Answer as answer:
        return _say(answer)
    capabilities = receive.CAPABILITIES if service == RECEIVE else upload.CAPABILITIES
    with open_repository(repository.path) as git:
        body = advertise(service.encode(), git, capabilities, fetch=service == UPLOAD)
    return _uncached(HttpResponse(body, content_type=f"application/x-{service}-advertisement"))


@csrf_exempt
@require_POST
def receive_pack(request: HttpRequest, app: str) -> HttpResponseBase:
    """Take a push."""
    try:
        account, repository = _open(request, app, RECEIVE)
    except _Answer as answer:
        return _say(answer)
    allowed = limits.from_settings()
    pushed = Push(
        account=account,
        app=repository,
        git=open_repository(repository.path),
        body=Body(request.META, allowed),
        backend=port.backend(),
        limits=allowed,
        slots=_push_slots(),
    )
    return _stream(RECEIVE, receive.PaasReceive(pushed).run())


@csrf_exempt
@require_POST
def upload_pack(request: HttpRequest, app: str) -> HttpResponseBase:
    """Serve a clone or fetch."""
    try:
        _, repository = _open(request, app, UPLOAD)
    except _Answer as answer:
        return _say(answer)
    allowed = limits.from_settings()
    git = open_repository(repository.path)
    fetch = upload.Fetch(repository, git, Body(request.META, allowed), allowed, _fetch_slots())
    return _stream(UPLOAD, upload.run(fetch))


@csrf_exempt
def hint(request: HttpRequest, app: str) -> HttpResponse:
    """Browsers and "dumb" clients land here."""
    url = request.build_absolute_uri(f"/{app}.git")
    text = f"This is a git repository for smart HTTP clients: git remote add paas {url} && git push paas main"
    return _say(_Answer(404, text))


def _open(request: HttpRequest, app: str, service: str) -> tuple[port.Account, port.AppRepository]:
    """Return who asks and the app's repository; raises _Answer. Frees database connections: what follows is long."""
    backend = port.backend()
    try:
        account = backend.authenticate(*_credentials(request))
        if account is None:
            raise _Answer(
                401,
                "The token is wrong, expired or revoked. Use an API token as the password (any user name).",
            )
        repository = backend.open_app(account, app, write=service == RECEIVE)
    finally:
        connections.close_all()
    if repository is None:
        raise _Answer(
            404, f"There is no app {app!r} here, or it is not yours. Check the name with: git remote -v"
        )
    return account, repository


def _credentials(request: HttpRequest) -> tuple[str, str]:
    """Return user and password of the Authorization header; git sends its first request without one."""
    scheme, _, encoded = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "basic":
        raise _Answer(401, "Credentials are needed: any user name, and an API token as the password.")
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise _Answer(401, "The Authorization header is malformed. Use an API token as the password.")
    return user, password


def _say(answer: _Answer) -> HttpResponse:
    response = HttpResponse(f"{answer}\n", status=answer.status, content_type="text/plain; charset=utf-8")
    if answer.status == 401:
        response["WWW-Authenticate"] = _REALM
    return _uncached(response)


def _stream(service: str, chunks: Iterator[bytes]) -> StreamingHttpResponse:
    response = StreamingHttpResponse(chunks, content_type=f"application/x-{service}-result")
    response["X-Accel-Buffering"] = "no"
    return _uncached(response)


def _uncached(response: Response) -> Response:
    response["Cache-Control"] = "no-cache, max-age=0, must-revalidate"
    return response
