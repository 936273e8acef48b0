"""Server-sent events (WHATWG HTML, "server-sent events"), a bounded number at once.

In: an iterator of frames.  Out: a streaming response; a full house is told to come back, never kept waiting.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.http import StreamingHttpResponse

from paas.controller.selectors.access import while_allowed

HEARTBEAT = 3.0  # seconds; also how soon a browser that went away is noticed, and its seat is free
LIFETIME = 600.0  # seconds; then the browser reconnects, and its rights are looked at again
KEEP_ALIVE = ": keep-alive\n\n"


@dataclass(eq=False)
class Seat:
    """The right of one stream to hold a thread. `given_away`: it went to a newer stream of the same person."""

    who: Hashable
    given_away: bool = False


class Seats:
    """Threads for streams: `total` at once, `each` per person, whose newest streams win.

    A page that was left keeps its stream until the next heartbeat notices. Its seat goes over at once: whoever
    clicks through pages quickly neither waits nor locks others out.
    """

    def __init__(self, total: int, each: int) -> None:
        self.total, self.each = total, each
        self._taken: list[Seat] = []
        self._lock = threading.Lock()

    def take(self, who: Hashable) -> Seat | None:
        with self._lock:
            own = [seat for seat in self._taken if seat.who == who]
            full = len(self._taken) >= self.total
            if own and (full or len(own) >= self.each):
                own[0].given_away = True
                self._taken.remove(own[0])
            elif full:
                return None
            self._taken.append(seat := Seat(who))
            return seat

    def leave(self, seat: Seat) -> None:
        with self._lock:
            if seat in self._taken:
                self._taken.remove(seat)

    @property
    def free(self) -> int:
        return self.total - len(self._taken)


# Two thirds of the threads stay free for pages and the API.
seats = Seats(total=max(settings.PAAS.web_threads // 3, 1), each=max(settings.PAAS.web_threads // 6, 1))


def frame(data: object, *, kind: str = "", id: str = "", retry: int | None = None) -> str:
    """Return one event. JSON has no raw line breaks, so `data` is always one line."""
    lines = [
        f"event: {kind}" if kind else "",
        f"id: {id}" if id else "",
        f"retry: {retry}" if retry is not None else "",
        f"data: {json.dumps(data)}",
    ]
    return "\n".join(line for line in lines if line) + "\n\n"


def stream(frames: Iterator[str], who: UUID, app_id: UUID) -> StreamingHttpResponse:
    """Send the frames to `who`, as long as there is a seat and the app is theirs to see."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    seated = _seated(while_allowed(frames, who, app_id), who)
    return StreamingHttpResponse(seated, content_type="text/event-stream", headers=headers)


def _seated(frames: Iterator[str], who: Hashable) -> Iterator[str]:
    seat = seats.take(who)
    if seat is None:
        yield frame(
            "Too many logs are open at the moment. Trying again in a few seconds.", kind="problem", retry=5000
        )
        return
    try:
        yield KEEP_ALIVE
        _release_connection()
        for one in frames:
            if seat.given_away:
                yield frame(
                    "This log is open in too many tabs. Trying again in half a minute.",
                    kind="problem",
                    retry=30000,
                )
                return
            yield one
    finally:
        seats.leave(seat)


def _release_connection() -> None:
    """A stream waits far longer than it reads: it must not keep a database connection meanwhile."""
    if not connection.in_atomic_block:
        connection.close()
