"""Reading an app's log.

In: an app and filters.  Out: entries; `follow` keeps yielding until its caller stops.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from paas.controller import streams
from paas.controller.models import App
from paas.controller.redis_connection import RedisError, blocking_client, client
from paas.errors import Unavailable

SCAN = 1000  # entries per read while filtering
ENTRY_ID = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")


@dataclass(frozen=True)
class LogEntry:
    """One line. `id` is its place in the stream and resumes it; `at` is Unix seconds."""

    id: str
    at: float
    source: str
    dyno: str
    text: str

    def format(self) -> str:
        """Return the line as Heroku's clients show it."""
        at = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="microseconds")
        return f"{at} {self.source}[{self.dyno}]: {self.text}"


def recent(
    app: App, *, lines: int = 100, source: str | None = None, dyno: str | None = None
) -> list[LogEntry]:
    """Return the newest lines that match, oldest first. Raises Unavailable when the log cannot be read."""
    found: list[LogEntry] = []
    before = "+"
    while len(found) < lines:
        batch = _read(lambda at=before: client().xrevrange(streams.app_log(app.id), max=at, count=SCAN))
        if not batch:
            break
        found += [entry for entry in map(_entry, batch) if _matches(entry, source, dyno)]
        before = f"({batch[-1][0]}"
    return found[:lines][::-1]


def follow(
    app: App, *, after: str, source: str | None = None, dyno: str | None = None, heartbeat: float = 15
) -> Iterator[LogEntry | None]:
    """Yield entries after the id `after` ('$': now; '0': all) as they come; None each `heartbeat` seconds of quiet."""
    key = streams.app_log(app.id)
    position = after if ENTRY_ID.fullmatch(after) or after == "0" else _newest(key)
    quiet_since = time.monotonic()
    while True:
        batches = _read(
            lambda at=position: blocking_client().xread({key: at}, count=SCAN, block=int(heartbeat * 1000))
        )
        for entry in (_entry(raw) for _, batch in batches or [] for raw in batch):
            position = entry.id
            if _matches(entry, source, dyno):
                quiet_since = time.monotonic()
                yield entry
        if time.monotonic() - quiet_since >= heartbeat:
            quiet_since = time.monotonic()
            yield None


def _newest(key: str) -> str:
    newest = _read(lambda: client().xrevrange(key, count=1))
    return newest[0][0] if newest else "0"


def _read(call: Any) -> Any:
    try:
        return call()
    except RedisError as error:
        raise Unavailable("The log cannot be read at the moment; try again in a few seconds.") from error


def _entry(raw: tuple[str, dict[str, str]]) -> LogEntry:
    entry_id, values = raw
    return LogEntry(entry_id, float(values["at"]), values["source"], values["dyno"], values["text"])


def _matches(entry: LogEntry, source: str | None, dyno: str | None) -> bool:
    """`dyno` is a name (`web.1`) or a type (`web`)."""
    if source and entry.source != source:
        return False
    return not dyno or entry.dyno == dyno or entry.dyno.rpartition(".")[0] == dyno
