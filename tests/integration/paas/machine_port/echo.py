"""A web process of one answer: which paths a request was given, and who its sender is."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings

logging.basicConfig(level=logging.INFO)
settings.configure(ALLOWED_HOSTS=["*"])

from django.core.handlers.wsgi import WSGIRequest  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402

from paas.machine_port import MachinePortMiddleware  # noqa: E402


def say(request: HttpRequest) -> HttpResponse:
    who = getattr(request, "machine", None)
    return HttpResponse(json.dumps({"machine": who, "urls": getattr(request, "urlconf", None)}))


def application(environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
    environ["wsgi.input"].read()
    answer = MachinePortMiddleware(say)(WSGIRequest(environ))
    start("200 OK", [("Content-Length", str(len(answer.content)))])
    return [answer.content]
