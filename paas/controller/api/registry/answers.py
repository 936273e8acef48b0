"""What every endpoint of the registry shares: errors in the spec's JSON, ranges, headers.

In: a view that returns a response or raises.  Out: the OCI distribution spec's words for it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.http.response import StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt

from paas.controller.api.errors import MethodNotAllowed
from paas.controller.api.registry.access import challenge
from paas.controller.outages import SIGNS, outage
from paas.errors import PaasError, RangeNotSatisfiable
from paas.oci.errors import ImageError

logger = logging.getLogger(__name__)

VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
CHUNK = 256 * 1024
RANGE = re.compile(r"bytes=(\d{1,15})-(\d{0,15})")
# Ours and the spec's ids (OCI distribution spec 1.1, error codes).
CODES = {
    "unauthorized": "UNAUTHORIZED",
    "forbidden": "DENIED",
    "quota_exceeded": "DENIED",
    "not_found": "NAME_UNKNOWN",
    "blob_unknown": "BLOB_UNKNOWN",
    "blob_upload_unknown": "BLOB_UPLOAD_UNKNOWN",
    "manifest_unknown": "MANIFEST_UNKNOWN",
    "manifest_blob_unknown": "MANIFEST_BLOB_UNKNOWN",
    "digest_invalid": "DIGEST_INVALID",
    "name_invalid": "NAME_INVALID",
    "conflict": "TOOMANYREQUESTS",
    "rate_limit": "TOOMANYREQUESTS",
    "requested_range_not_satisfiable": "BLOB_UPLOAD_INVALID",
    "method_not_allowed": "UNSUPPORTED",
}
STATUS = {"conflict": 429, "name_invalid": 400}

View = Callable[..., HttpResponseBase]


def endpoint(*methods: str) -> Callable[[View], View]:
    """Make a view of the registry."""

    def decorate(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        def wrapped(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
            try:
                if request.method not in methods:
                    raise MethodNotAllowed(f'Method "{request.method}" is not supported here.')
                response = view(request, **arguments)
            except ImageError as error:
                response = refusal("MANIFEST_INVALID", error.message, 400)
            except PaasError as error:
                response = refuse(request, error)
            except SIGNS as error:
                found = outage(error)
                if found is None:
                    raise
                logger.exception("%s %s failed", request.method, request.path)
                response = refuse(request, found)
            if request.method == "HEAD" and isinstance(response, HttpResponse):
                response.content = b""
            for name, value in VERSION.items():
                response.headers[name] = value
            return response

        return wrapped

    return decorate


def refuse(request: HttpRequest, error: PaasError) -> HttpResponse:
    response = refusal(CODES.get(error.id, "UNSUPPORTED"), error.message, STATUS.get(error.id, error.status))
    if response.status_code == 401:
        response.headers["WWW-Authenticate"] = challenge(request)
    if response.status_code == 429:
        response.headers["Retry-After"] = "2"
    return response


def refusal(code: str, message: str, status: int) -> HttpResponse:
    response = JsonResponse({"errors": [{"code": code, "message": message, "detail": None}]}, status=status)
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def blob(request: HttpRequest, path: Path, digest: str) -> HttpResponseBase:
    """Answer a file, or the range of it that is asked for (RFC 9110, one range)."""
    size = path.stat().st_size
    headers = {"Docker-Content-Digest": digest, "Accept-Ranges": "bytes", "ETag": f'"{digest}"'}
    kind = "application/octet-stream"
    if request.method == "HEAD":
        return HttpResponse(headers={**headers, "Content-Length": str(size)}, content_type=kind)
    match = RANGE.fullmatch(request.headers.get("Range", ""))
    if match is None:
        return FileResponse(
            path.open("rb"), content_type=kind, headers={**headers, "Content-Length": str(size)}
        )
    first, last = int(match[1]), min(int(match[2] or size - 1), size - 1)
    if first > last:
        raise RangeNotSatisfiable(f"The blob has {size} bytes.")
    headers |= {"Content-Range": f"bytes {first}-{last}/{size}", "Content-Length": str(last - first + 1)}
    return StreamingHttpResponse(_piece(path, first, last), status=206, content_type=kind, headers=headers)


def _piece(path: Path, first: int, last: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(first)
        left = last - first + 1
        while left > 0 and (data := file.read(min(CHUNK, left))):
            left -= len(data)
            yield data
