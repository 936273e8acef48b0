"""Every failure of the API as Heroku's error body.

In: an exception out of a view.  Out: a response {id, message, app?, resource?} with the right status.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from paas.controller.outages import SIGNS, outage
from paas.errors import (
    BadRequest,
    Forbidden,
    InvalidParams,
    NotAcceptable,
    NotFound,
    PaasError,
    RateLimited,
)
from paas.errors import Unauthorized as UnauthorizedError

log = logging.getLogger(__name__)

INVALID_CREDENTIALS = "Invalid credentials provided. Log in, or send a valid API token."
CHALLENGE = 'Bearer realm="paas"'


class MethodNotAllowed(PaasError):
    id, status = "method_not_allowed", 405


def handle(exception: Exception, context: Mapping[str, Any]) -> Response:
    """Answer an exception raised in a view. What nobody expected is logged and answered without details."""
    error = translate(exception)
    if error is None or isinstance(exception, SIGNS):
        request = context.get("request")
        request_id = getattr(getattr(request, "_request", None), "request_id", "unknown")
        log.exception("request %s failed", request_id, exc_info=exception)
    if error is None:
        error = PaasError(
            f"The platform failed to handle this request. Try again; the log has it as request {request_id}."
        )
    headers = {"WWW-Authenticate": CHALLENGE} if error.status == 401 else None
    return Response(body(error), status=error.status, headers=headers)


def body(error: PaasError) -> dict[str, Any]:
    """Return the JSON body of an error."""
    answer: dict[str, Any] = {"id": error.id, "message": error.message}
    if error.app:
        answer["app"] = {"name": error.app}
    if error.resource:
        answer["resource"] = error.resource
    return answer


def translate(exception: Exception) -> PaasError | None:
    """Return the platform's word for an exception, or None when it was not foreseen."""
    match exception:
        case PaasError():
            return exception
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return UnauthorizedError(INVALID_CREDENTIALS)
        case exceptions.ValidationError():
            return InvalidParams(" ".join(sentences(exception.detail)))
        case exceptions.MethodNotAllowed():
            return MethodNotAllowed(str(exception.detail))
        case exceptions.NotAcceptable():
            return NotAcceptable(str(exception.detail))
        case exceptions.Throttled():
            return RateLimited(str(exception.detail))
        case exceptions.PermissionDenied() | PermissionDenied():
            return Forbidden("You do not have access to this.")
        case exceptions.NotFound() | Http404():
            return NotFound("The requested resource was not found.")
        case exceptions.ParseError() | exceptions.UnsupportedMediaType():
            return BadRequest(str(exception.detail))
        case RequestDataTooBig():
            return BadRequest("The request body is too large.")
    return outage(exception)


def sentences(detail: Any, field: str = "") -> list[str]:
    """Flatten the errors of a serializer to sentences that name their field."""
    if isinstance(detail, Mapping):
        return [
            text
            for name, inner in detail.items()
            for text in sentences(inner, "" if name == "non_field_errors" else f"{field}.{name}".strip("."))
        ]
    if isinstance(detail, list):
        return [text for inner in detail for text in sentences(inner, field)]
    return [f"{field}: {detail}" if field else str(detail)]
