"""Lines into an app's log: one bounded Redis stream per app.

In: lines of instances, of routers, of the platform.  Out: stream entries; a slow reader never blocks a writer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from paas.controller import streams
from paas.controller.redis_connection import RedisError, client

logger = logging.getLogger(__name__)

MAX_LINES = 10_000
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
    for line in lines:
        entry = {
            "source": line.source,
            "dyno": line.dyno,
            "text": line.text[:LINE_MAX],
            "at": f"{line.at:.6f}",
        }
        pipeline.xadd(streams.app_log(line.app), entry, maxlen=MAX_LINES, approximate=True)
    pipeline.execute()


def say(app_id: UUID | str, text: str, *, source: str = "app", dyno: str = "api") -> None:
    """Write the platform's own word on a change; lost when Redis is away, as the audit trail has it anyway."""
    try:
        write([Line(str(app_id), source, dyno, text, time.time())])
    except RedisError as error:
        logger.warning("A line of app %s was not logged: %s", app_id, error)


def forget(app_id: UUID | str) -> None:
    """Drop the log of an app that is gone."""
    client().delete(streams.app_log(app_id))
