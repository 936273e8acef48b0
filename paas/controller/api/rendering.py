"""What the API speaks on the wire: JSON, in the versions and media types of the Heroku Platform API.

In: `Accept` headers and request bodies.  Out: parsed JSON objects, JSON responses, or a clear 400, 406 or 413.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.http import HttpRequest
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from paas.errors import BadRequest, NotAcceptable, PaasError

BODY_LIMIT = 2 * 1024**2  # bytes; the largest legitimate body is a set of config vars
DRAIN_LIMIT = 32 * 1024**2  # bytes that are read and dropped so that the sender hears why
GENERIC_TYPES = {"*/*", "application/*", "application/json"}
HEROKU_TYPE = "application/vnd.heroku+json"
VERSION_3 = re.compile(r"3(\.[A-Za-z0-9._-]+)?")


class PayloadTooLarge(PaasError):
    id, status = "payload_too_large", 413


def accepts(header: str) -> bool:
    """Say whether version 3 of the API as JSON is among what an `Accept` header asks for."""
    return not header.strip() or any(_acceptable(item) for item in header.split(","))


def _acceptable(item: str) -> bool:
    media_type, *parameters = (part.strip() for part in item.lower().split(";"))
    if media_type in GENERIC_TYPES:
        return True
    if media_type != HEROKU_TYPE:
        return False
    version = dict(p.split("=", 1) for p in parameters if "=" in p).get("version", "").strip('" ')
    return VERSION_3.fullmatch(version) is not None


class HerokuNegotiation(BaseContentNegotiation):
    """Any variant of version 3 gets the one representation there is; every other version gets a 406."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        return next(iter(parsers))

    def select_renderer(  # type: ignore[override]
        self, request: Request, renderers: Sequence[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        if not accepts(request.headers.get("Accept", "")):
            raise NotAcceptable(
                f"This API answers in version 3. Send `Accept: {HEROKU_TYPE}; version=3` or `application/json`."
            )
        return renderers[0], "application/json"


class HerokuRenderer(JSONRenderer):
    """JSON in UTF-8, always as `application/json`."""

    media_type = "application/json"
    format = "json"


class HerokuParser(BaseParser):
    """Read a body as one JSON object, whatever its content type says (clients send several)."""

    media_type = "*/*"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return parse_object(read_body(stream))


def read_body(stream: Any) -> bytes:
    """Return the body, at most one byte over the limit. Raises BadRequest when it breaks off or its chunks are wrong.

    What is over the limit is read too, within bounds: a client that is still sending would not see the answer.
    """
    try:
        body = bytes(stream.read(BODY_LIMIT + 1))
        rest = DRAIN_LIMIT if len(body) > BODY_LIMIT else 0
        while rest > 0 and (more := stream.read(min(rest, 64 * 1024))):
            rest -= len(more)
    except Exception as error:  # the server's own reader raises classes of its own
        raise BadRequest("The request body could not be read to its end; send it again.") from error
    return body


def take_chunked(request: HttpRequest) -> None:
    """Let a body without Content-Length (`Transfer-Encoding: chunked`) be read, which Django takes for an empty one."""
    chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
    if chunked and request.META.get("wsgi.input_terminated") and not request.META.get("CONTENT_LENGTH"):
        request.META["CONTENT_LENGTH"] = str(BODY_LIMIT)  # not known; anything but 0 has the body read
        request._stream = request.META["wsgi.input"]


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a request body; an empty body is an empty object. Raises BadRequest."""
    if len(body) > BODY_LIMIT:
        raise PayloadTooLarge(f"The request body is over the limit of {BODY_LIMIT} bytes.")
    if not body.strip():
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The request body is not valid JSON ({error}). Send a JSON object.") from error
    if not isinstance(value, dict):
        raise BadRequest("The request body must be a JSON object, for example {}.")
    check_text(value)
    return value


def check_text(value: object) -> None:
    r"""Raise BadRequest for text with half of a surrogate pair (`"\ud800"`): JSON can write it, no encoding can."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BadRequest(
            r"The request body is JSON with a lone surrogate (\ud800 to \udfff), which is no text."
        ) from error


def origin(request: HttpRequest) -> str:
    """Return scheme, host and port as the client reached them: the base of every URL handed out."""
    return f"{request.scheme}://{request.get_host()}"
