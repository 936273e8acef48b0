"""The certificate of the platform's own authority, for clients of its TLS port.

In: GET /ca.pem.  Out: PEM; it is public.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from paas.controller.api.streams import plain_view
from paas.errors import NotFound


@plain_view("GET", "HEAD")
def ca_certificate(request: HttpRequest) -> HttpResponse:
    try:
        text = settings.PAAS.ca_file.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(
            "This platform has no authority of its own; `manage.py setup_platform` makes it."
        ) from error
    return HttpResponse(text, content_type="application/x-pem-file")
