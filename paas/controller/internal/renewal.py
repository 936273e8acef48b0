"""Renewing: a machine whose certificate is good gets the next one.

In: a signing request over the present certificate.  Out: a certificate of the same identity for the new key.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from paas import authority
from paas.controller.internal.machines import answer, body, machine
from paas.errors import BadRequest, InvalidParams
from runtime.enrolment import Renewed, RenewRequest
from runtime.model import decode, encode


@machine
def renew(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        raise BadRequest("Send a signing request with POST.")
    try:
        key = authority.read_request(body(request, decode, RenewRequest).request)
    except authority.BadRequestForCertificate as error:
        raise InvalidParams(str(error)) from error
    folder = settings.PAAS.ca_file.parent
    identity: str = request.machine  # type: ignore[attr-defined]
    certificate = authority.certify_machine(authority.read_authority(folder), key, identity, authority.now())
    trusted = settings.PAAS.ca_file.read_text()
    return answer(encode(Renewed(certificate=authority.text(certificate), authority=trusted)))
