"""Hooks of git servers elsewhere. They carry no token: their signature says that they are meant.

In: POST /hooks/ID.  Out: what was done, in words; a build of the commit that was pushed.
"""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from paas.controller.api import limits
from paas.controller.api.rendering import PayloadTooLarge, take_chunked
from paas.controller.api.streams import plain_view
from paas.controller.models import Source
from paas.controller.services import hook_records
from paas.controller.services.sources import secret_of, take_hook
from paas.errors import NotFound, Unauthorized
from paas.sources.errors import SourceError
from paas.sources.hooks import read_hook

BODY_LIMIT = 25 * 1024**2  # bytes; what GitHub sends at most


@plain_view("POST")
def hook(request: HttpRequest, source: UUID) -> HttpResponseBase:
    """Take one hook. 202: a build was started or waits; 200: nothing to do."""
    limits.spend(limits.HOOKS, str(source))
    found = Source.objects.select_related("app", "user").filter(id=source).first()
    if found is None:
        raise NotFound("There is no such hook; `paas source:hook` shows the app's.", resource="source")
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        said = read_hook(headers, _body(request), secret_of(found))
    except SourceError as error:
        if error.id != "hook_unsigned":
            raise
        hook_records.record_unsigned(found, error.message)
        raise Unauthorized(error.message, id=error.id) from error
    words, build = take_hook(found, said)
    answer = {"message": words, "build": str(build.id) if build else None}
    return JsonResponse(answer, status=202 if build or words.startswith("noted") else 200)


def _body(request: HttpRequest) -> bytes:
    take_chunked(request)
    data = request.read(BODY_LIMIT + 1)
    if len(data) > BODY_LIMIT:
        raise PayloadTooLarge(f"A hook has at most {BODY_LIMIT} bytes.")
    return data
