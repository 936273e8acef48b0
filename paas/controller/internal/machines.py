"""What every internal endpoint shares: who sent it, typed bodies, errors as JSON.

In: a request of an agent or a router.  Out: its typed body, or the error it is told.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from uuid import UUID

from django.db import models
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from paas.controller.models import Host, Router
from paas.controller.outages import SIGNS, outage
from paas.controller.selectors.dynos import as_uuid
from paas.controller.texts import storable
from paas.errors import BadRequest, Forbidden, NotFound, PaasError, Removed, Unauthorized

logger = logging.getLogger(__name__)

T = TypeVar("T")
Row = TypeVar("Row", bound=models.Model)
View = Callable[..., Any]
ROLES: dict[str, type[Host] | type[Router]] = {"host": Host, "router": Router}
BODY_MAX = 32 * 1024**2
CHUNK = 256 * 1024


def machine(view: View) -> View:
    """Let the platform's machines in, and render every PaasError as `{id, message}`."""

    @functools.wraps(view)
    def checked(request: HttpRequest, **arguments: Any) -> Any:
        request.row = check_machine(request)  # type: ignore[attr-defined]
        return view(request, **arguments)

    return anybody(checked)


def anybody(view: View) -> View:
    """Render every PaasError as `{id, message}`; the view itself looks who asks."""

    @csrf_exempt
    @functools.wraps(view)
    def told_in_words(request: HttpRequest, **arguments: Any) -> Any:
        try:
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

    return told_in_words


def check_machine(request: HttpRequest) -> Host | Router:
    """Return the row of who sent this. A machine that was removed is refused at once, whatever its certificate says."""
    who: str = getattr(request, "machine", "")
    role, _, id_ = who.removeprefix("paas://").partition("/")
    model = ROLES.get(role)
    if model is None or not id_:
        raise Unauthorized(
            "This endpoint is for the platform's agents and routers; show the certificate of one."
        )
    identity = as_uuid(id_)
    row = model._default_manager.filter(id=identity).first() if identity else None
    if row is None:
        raise Removed(
            f"This {role} was removed from the platform; join it again with a token of `paas hosts:token`."
        )
    return row


def own(request: HttpRequest, model: type[Row], id_: str) -> Row:
    """Return the row a machine speaks of, which must be its own. Raises NotFound or Forbidden."""
    who: Host | Router = request.row  # type: ignore[attr-defined]
    if isinstance(who, model) and id_ in (str(who.id), who.name):
        return who
    find(model, id_)
    raise Forbidden(
        f"{type(who).__name__} {who} speaks for itself only, not for {model.__name__.lower()} {id_}."
    )


def host_of(request: HttpRequest) -> Host:
    """Return the host that asks. Raises Forbidden for a router."""
    who = request.row  # type: ignore[attr-defined]
    if not isinstance(who, Host):
        raise Forbidden("Images and sources are for hosts.")
    return who


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
