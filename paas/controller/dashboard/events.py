"""Server-sent events (WHATWG HTML, "server-sent events"), a bounded number at once.

In: an iterator of frames.  Out: a streaming response; a full house is told to come back, never kept waiting.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

from django.conf import settings
from django.db import connection
from django.http import StreamingHttpResponse

HEARTBEAT = 3.0  # seconds; also how soon a browser that went away is noticed, and its seat is free
LIFETIME = 600.0  # seconds; then the browser reconnects, and its rights are looked at again
KEEP_ALIVE = ": keep-alive\n\n"

# A stream holds a thread. Two thirds of them stay free for pages and the API.
_seats = threading.BoundedSemaphore(max(settings.PAAS.web_threads // 3, 1))


def frame(data: object, *, kind: str = "", id: str = "", retry: int | None = None) -> str:
    """Return one event. JSON has no raw line breaks, so `data` is always one line."""
    lines = [
        f"event: {kind}" if kind else "",
        f"id: {id}" if id else "",
        f"retry: {retry}" if retry is not None else "",
        f"data: {json.dumps(data)}",
    ]
    return "\n".join(line for line in lines if line) + "\n\n"


def stream(frames: Iterator[str]) -> StreamingHttpResponse:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(_seated(frames), content_type="text/event-stream", headers=headers)


def _seated(frames: Iterator[str]) -> Iterator[str]:
    if not _seats.acquire(blocking=False):
        yield frame(
            "Too many logs are open at the moment. Trying again in a few seconds.", kind="problem", retry=5000
        )
        return
    try:
        yield KEEP_ALIVE
        _release_connection()
        yield from frames
    finally:
        _seats.release()


def _release_connection() -> None:
    """A stream waits far longer than it reads: it must not keep a database connection meanwhile."""
    if not connection.in_atomic_block:
        connection.close()
