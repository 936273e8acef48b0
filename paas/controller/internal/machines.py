"""What every internal endpoint shares: the machine credential, typed bodies, errors as JSON.

In: a request of an agent or a router.  Out: its typed body, or the error it is told.
"""

from __future__ import annotations

import functools
import hmac
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from paas.controller.outages import SIGNS, outage
from paas.controller.texts import storable
from paas.errors import BadRequest, NotFound, PaasError, Unauthorized

logger = logging.getLogger(__name__)

T = TypeVar("T")
Row = TypeVar("Row", bound=models.Model)
View = Callable[..., Any]
BODY_MAX = 32 * 1024**2
CHUNK = 256 * 1024


def machine(view: View) -> View:
    """Let machines in, and render every PaasError as `{id, message}`."""

    @csrf_exempt
    @functools.wraps(view)
    def checked(request: HttpRequest, **arguments: Any) -> Any:
        try:
            _authorise(request)
            return view(request, **arguments)
        except PaasError as error:
            told: PaasError = error
        except SIGNS as error:
            found = outage(error)
            if found is None:
                raise
            logger.exception("%s %s failed", request.method, request.path)
            told = found
        return JsonResponse({"id": told.id, "message": told.message}, status=told.status)

    return checked


def _authorise(request: HttpRequest) -> None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    shown, known = token.strip().encode("utf-8", "replace"), settings.SECRETS.machine_token.encode()
    if scheme.lower() != "bearer" or not hmac.compare_digest(shown, known):
        raise Unauthorized(
            "This endpoint is for the platform's own agents and routers; show the machine token."
        )


def chunks(request: HttpRequest) -> Iterator[bytes]:
    """Yield the body as it arrives, also a chunked one, which Django's own reader would take for empty."""
    stream = request.META["wsgi.input"]
    while chunk := stream.read(CHUNK):
        yield chunk


def body(request: HttpRequest, decode: Callable[[bytes, type[T]], T], type_: type[T]) -> T:
    """Return the typed body. Raises BadRequest naming the field that is wrong."""
    parts, size = [], 0
    for chunk in chunks(request):
        size += len(chunk)
        if size > BODY_MAX:
            raise BadRequest(f"The body is larger than {BODY_MAX} bytes.")
        parts.append(chunk)
    try:
        return decode(b"".join(parts), type_)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not a {type_.__name__}: {error}") from error


def find(model: type[Row], name_or_id: str) -> Row:
    """Return a host or router by id or name. Raises NotFound."""
    try:
        found = model._default_manager.filter(id=UUID(name_or_id)).first()
    except ValueError:
        found = model._default_manager.filter(name=storable(name_or_id)).first()
    if found is None:
        raise NotFound(f"There is no {model.__name__.lower()} {name_or_id}; register it first.")
    return found


def answer(data: bytes, status: int = 200) -> HttpResponse:
    return HttpResponse(data, status=status, content_type="application/json")
