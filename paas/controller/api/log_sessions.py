"""Log sessions: a signed URL, and the log behind it as server-sent events or as plain lines.

In: what part of a log is wanted.  Out: its last lines, and with `tail` everything after them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.references import timestamp
from paas.controller.api.rendering import origin
from paas.controller.api.resource import Resource, actor, app_of, read
from paas.controller.api.secrets import sign, unsign
from paas.controller.api.streams import plain_view, stream
from paas.controller.models import App, User
from paas.controller.selectors.access import while_allowed
from paas.controller.selectors.apps import access_app
from paas.controller.selectors.logs import LogEntry, follow, recent
from paas.errors import BadRequest, NotFound, Unavailable

log = logging.getLogger(__name__)

SESSION_SECONDS = 12 * 3600
QUIET_SECONDS = 3600  # a tail without a line ends after this time; clients reconnect and resume
HEARTBEAT_SECONDS = 10.0  # under 15 s, so that proxies keep the connection
RETRY_MILLISECONDS = 2000


class LogSessionSerializer(serializers.Serializer[Any]):
    created_at = serializers.DateTimeField()
    id = serializers.UUIDField()
    logplex_url = serializers.URLField(help_text="A secret: whoever has it reads the log until it expires.")
    updated_at = serializers.DateTimeField()


class NewLogSessionSerializer(serializers.Serializer[None]):
    dyno = serializers.CharField(
        required=False, allow_null=True, help_text="A dyno (web.1) or process type (web)."
    )
    type = serializers.CharField(required=False, allow_null=True, help_text="A process type.")
    lines = serializers.IntegerField(required=False, default=100, min_value=0)
    source = serializers.CharField(  # type: ignore[assignment]
        required=False, allow_null=True, help_text="app or heroku"
    )
    tail = serializers.BooleanField(required=False, default=False)


@dataclass(frozen=True)
class Session:
    """What a log URL allows: one part of one app's log, for one account."""

    user: str
    app: str
    lines: int
    tail: bool
    source: str | None
    dyno: str | None


class LogSessions(Resource):
    @extend_schema(
        operation_id="createLogSession",
        request=NewLogSessionSerializer,
        responses={201: LogSessionSerializer},
    )
    def post(self, request: Request, app: str) -> Response:
        """Return a URL of the app's log: server-sent events if asked for, plain lines otherwise."""
        found = app_of(request, app)
        body = read(request, NewLogSessionSerializer)
        content = {
            "user": str(actor(request).id),
            "app": str(found.id),
            "lines": min(body["lines"], 1500),
            "tail": body["tail"],
            "source": body.get("source"),
            "dyno": body.get("dyno") or body.get("type"),
        }
        now = timestamp(timezone.now())
        url = f"{origin(request._request)}/log-sessions/{sign('log-session', content)}"
        answer = {"created_at": now, "id": str(uuid4()), "logplex_url": url, "updated_at": now}
        return Response(answer, status=201)


@plain_view("GET")
def read_session(request: HttpRequest, token: str) -> HttpResponseBase:
    """Answer the log of a session. A stream that broke resumes after `Last-Event-ID`."""
    session = Session(**unsign("log-session", token, SESSION_SECONDS))
    app = _app_of_session(session)
    after = request.headers.get("Last-Event-ID", "").strip()
    if after and not _is_entry_id(after):
        raise BadRequest("Last-Event-ID is not an id of this log. Leave it out to start with the last lines.")
    lines = while_allowed(entries(app, session, after), session.user, app.id)
    if "text/event-stream" in request.headers.get("Accept", ""):
        return stream(server_sent_events(lines), "text/event-stream; charset=utf-8")
    return stream(plain_lines(lines), "text/plain; charset=utf-8")


def _app_of_session(session: Session) -> App:
    user = User.objects.filter(id=session.user, is_active=True).first()
    if user is None:
        raise NotFound("The account that asked for this log is gone.")
    return access_app(user, session.app)


def _is_entry_id(text: str) -> bool:
    parts = text.split("-")
    return len(text) < 42 and len(parts) == 2 and all(part.isascii() and part.isdigit() for part in parts)


def entry_order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)


def entries(app: App, session: Session, after: str) -> Iterator[LogEntry | None]:
    """Return the entries of a session, None for a heartbeat. Raises Unavailable when the log cannot be read."""
    resumed = bool(after) and session.tail
    last = (
        []
        if resumed or not session.lines
        else recent(app, lines=session.lines, source=session.source, dyno=session.dyno)
    )
    if after:
        last = [entry for entry in last if entry_order(entry.id) > entry_order(after)]
    return _entries(app, session, last, after or ("0-0" if session.lines else "$"))


def _entries(app: App, session: Session, last: list[LogEntry], after: str) -> Iterator[LogEntry | None]:
    yield from last
    if session.tail:
        after = last[-1].id if last else after
        yield from until_quiet(
            follow(app, after=after, source=session.source, dyno=session.dyno, heartbeat=HEARTBEAT_SECONDS)
        )


def until_quiet(
    following: Iterator[LogEntry | None], quiet_seconds: float = QUIET_SECONDS
) -> Iterator[LogEntry | None]:
    """End a tail after a quiet hour, or when the log cannot be read any more: clients come back and resume."""
    heard = time.monotonic()
    try:
        for entry in following:
            yield entry
            if entry is not None:
                heard = time.monotonic()
            elif time.monotonic() - heard >= quiet_seconds:
                return
    except Unavailable as error:
        log.warning("a log stream ended: %s", error.message)


def server_sent_events(lines: Iterator[LogEntry | None]) -> Iterator[str]:
    """Frame entries as server-sent events (WHATWG HTML 9.2); a heartbeat is a comment."""
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    for entry in lines:
        yield event(entry) if entry is not None else ": still here\n\n"


def event(entry: LogEntry) -> str:
    """Return one event. A line break in the text must not break the frame."""
    data = "".join(f"data: {line}\n" for line in one_line(entry.format()).split("\n"))
    return f"id: {entry.id}\n{data}\n"


def one_line(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


def plain_lines(lines: Iterator[LogEntry | None]) -> Iterator[str]:
    for entry in lines:
        yield f"{one_line(entry.format())}\n" if entry is not None else ""
