"""Lines into an app's log: one bounded Redis stream per app.

In: lines of instances, of routers, of the platform.  Out: stream entries; a slow reader never blocks a writer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from paas.controller import streams
from paas.controller.redis_connection import RedisError, client

logger = logging.getLogger(__name__)

MAX_LINES = 10_000
MAX_BYTES = 4 * 1024**2  # of Redis' memory: the lines of one app must not take the room of all others
KEEP_SECONDS = 30 * 24 * 3600  # after the last line
LINE_MAX = 10_000  # characters
PLATFORM = "heroku"  # the source that log parsers of this field know the platform's and the router's lines by


@dataclass(frozen=True)
class Line:
    """`source` is `app` or PLATFORM; `dyno` is `web.1`, `router`, `api`; `at` is Unix seconds."""

    app: str
    source: str
    dyno: str
    text: str
    at: float


def write(lines: Iterable[Line]) -> None:
    """Append the lines. Raises RedisError, so that whoever delivers them can try again."""
    pipeline = client().pipeline(transaction=False)
    written = set()
    for line in lines:
        written.add(streams.app_log(line.app))
        entry = {
            "source": line.source,
            "dyno": line.dyno,
            "text": line.text[:LINE_MAX],
            "at": f"{line.at:.6f}",
        }
        pipeline.xadd(streams.app_log(line.app), entry, maxlen=MAX_LINES, approximate=True)
    for key in written:
        pipeline.expire(key, KEEP_SECONDS)
    pipeline.execute()
    _trim(sorted(written))


def _trim(keys: Sequence[str]) -> None:
    """Drop the oldest lines of streams that take more than their share of memory."""
    pipeline = client().pipeline(transaction=False)
    for key in keys:
        pipeline.memory_usage(key, samples=5).xlen(key)
    answers = pipeline.execute()
    for key, used, length in zip(keys, answers[::2], answers[1::2], strict=True):
        if used and used > MAX_BYTES:
            client().xtrim(key, maxlen=length * MAX_BYTES // used * 9 // 10, approximate=True)


def say(app_id: UUID | str, text: str, *, source: str = "app", dyno: str = "api") -> None:
    """Write the platform's own word on a change; lost when Redis is away, as the audit trail has it anyway."""
    try:
        write([Line(str(app_id), source, dyno, text, time.time())])
    except RedisError as error:
        logger.warning("A line of app %s was not logged: %s", app_id, error)


def forget(app_id: UUID | str) -> None:
    """Drop the log of an app that is gone."""
    client().delete(streams.app_log(app_id))
