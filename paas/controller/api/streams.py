"""Plain HTTP endpoints outside DRF: long answers, line by line, to whoever holds their signed URL.

In: a generator of text.  Out: a streaming response that proxies and servers pass on at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt

from paas.controller.api.errors import MethodNotAllowed, body
from paas.errors import PaasError, Unavailable

# Streams hold a thread each; the rest of the threads stays free for requests.
_slots = threading.BoundedSemaphore(max(4, settings.PAAS.web_threads * 2 // 3))

View = Callable[..., HttpResponseBase]


def plain_view(*methods: str) -> Callable[[View], View]:
    """Make a plain Django view with the API's errors."""

    def decorate(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        def wrapped(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
            try:
                if request.method not in methods:
                    raise MethodNotAllowed(f'Method "{request.method}" not allowed.')
                return view(request, **arguments)
            except PaasError as error:
                response = JsonResponse(body(error), status=error.status)
                # Django would log the path of a refused request, and this path is a secret.
                response._has_been_logged = True  # type: ignore[attr-defined]
                return response

        return wrapped

    return decorate


def stream(chunks: Iterable[str | bytes], content_type: str) -> StreamingHttpResponse:
    """Answer with text as it comes. Raises Unavailable when too many streams are open."""
    if not _slots.acquire(blocking=False):
        raise Unavailable("Too many log and output streams are open. Close one, or try again in a moment.")
    return StreamingHttpResponse(
        _Released(chunks),
        content_type=content_type,
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


class _Released:
    """An iterator that gives its slot back exactly once, however the response ends (`close` is WSGI's)."""

    def __init__(self, chunks: Iterable[str | bytes]) -> None:
        self._chunks: Iterator[str | bytes] = iter(chunks)
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        # A stream may last for hours; it must not hold a database connection all the while.
        if not connection.in_atomic_block:
            connection.close()
        try:
            for chunk in self._chunks:
                yield chunk if isinstance(chunk, bytes) else chunk.encode()
        finally:
            self.close()

    def close(self) -> None:
        if self._open:
            self._open = False
            _slots.release()
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()
