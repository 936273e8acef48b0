"""The first contact of a machine that joins: what it needs to trust the platform, and then to be of it.

In: requests without a certificate; a join token.  Out: the authority's certificate (public); who the machine is now.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from paas.controller.api.limits import Limit, refuse_when_spent, spend
from paas.controller.internal.machines import answer, anybody, body
from paas.controller.services import joining
from paas.errors import BadRequest, Forbidden, NotFound
from runtime.enrolment import JoinRequest
from runtime.model import decode, encode

FAILED_JOINS = Limit("failed-joins", 10, 900)


@anybody
def ca(request: HttpRequest) -> HttpResponse:
    """The authority's certificates; the token has the fingerprint of the first."""
    return HttpResponse(settings.PAAS.ca_file.read_bytes(), content_type="application/x-pem-file")


@anybody
def join(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        raise BadRequest("Join with POST.")
    address = request.META.get("REMOTE_ADDR", "")
    refuse_when_spent(FAILED_JOINS, address)
    wish = body(request, decode, JoinRequest)
    try:
        return answer(encode(joining.join(wish)), status=201)
    except Forbidden:
        spend(FAILED_JOINS, address)
        raise


@anybody
def unknown(request: HttpRequest, path: str) -> HttpResponse:
    raise NotFound("There is no such path for machines; the API and the dashboard have another port.")
