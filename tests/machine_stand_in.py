"""Stands in for the handshake of `paas.machine_port` where tests use Django's own servers.

In: the header `X-Test-Machine` with an identity ('' for a machine without a certificate).  Out: what the port would
say.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from paas.machine_port import URLS


class MachineStandIn:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        identity = request.headers.get("X-Test-Machine")
        if identity is not None:
            request.machine = identity  # type: ignore[attr-defined]
            request.urlconf = URLS
        return self.get_response(request)
