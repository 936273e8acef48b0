"""The live log of an app as server-sent events.

In: an app, what to show, the id of the last line seen.  Out: lines as JSON, resumed after that id.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.http import StreamingHttpResponse

from paas.controller.dashboard import events
from paas.controller.dashboard.doors import Request, of_app
from paas.controller.models import App
from paas.controller.redis_connection import RedisError
from paas.controller.selectors.logs import LogEntry, follow, recent
from paas.errors import InvalidParams, PaasError

FIRST_LINES = 300
STREAM_ID = re.compile(r"\d{1,20}-\d{1,20}")
PROCESS = re.compile(r"[A-Za-z0-9_.-]{1,64}")
SOURCES = {"app", "heroku"}
BEGINNING = "0-0"
AWAY = "The logs are not available at the moment; apps keep running. Trying again."


@dataclass(frozen=True)
class Wish:
    """What the reader wants to see. None: everything."""

    source: str | None
    process: str | None
    after: str


def parse_wish(source: str, process: str, after: str) -> Wish:
    """Read the query. Raises InvalidParams for a filter that nothing can match."""
    if source and source not in SOURCES:
        raise InvalidParams("A log source is app or heroku.")
    if process and not PROCESS.fullmatch(process):
        raise InvalidParams("That is not the name of a process.")
    return Wish(source or None, process or None, after if STREAM_ID.fullmatch(after) else "")


@of_app("GET")
def stream(request: Request, app: App) -> StreamingHttpResponse:
    after = request.headers.get("Last-Event-ID") or request.GET.get("after", "")
    wish = parse_wish(request.GET.get("source", ""), request.GET.get("process", ""), after)
    return events.stream(_frames(app, wish), request.user.id, app.id)


def _frames(app: App, wish: Wish) -> Iterator[str]:
    until = time.monotonic() + events.LIFETIME
    try:
        for entry in _entries(app, wish):
            yield _frame(entry) if entry else events.KEEP_ALIVE
            if time.monotonic() > until:
                yield "retry: 200\n\n"
                return
    except PaasError as error:
        yield events.frame(error.message, kind="problem", retry=4000)
    except RedisError:
        yield events.frame(AWAY, kind="problem", retry=4000)


def _entries(app: App, wish: Wish) -> Iterator[LogEntry | None]:
    after = wish.after
    if not after:
        after = BEGINNING
        for entry in recent(app, lines=FIRST_LINES, source=wish.source, dyno=wish.process):
            after = entry.id
            yield entry
    yield None
    yield from follow(app, after=after, source=wish.source, dyno=wish.process, heartbeat=events.HEARTBEAT)


def _frame(entry: LogEntry) -> str:
    line = {"at": entry.at, "source": entry.source, "dyno": entry.dyno, "text": entry.text}
    return events.frame(line, id=entry.id)
