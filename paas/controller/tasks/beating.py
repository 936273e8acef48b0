"""While a worker works on a row: a heartbeat a second, so that another one takes the row up when the first has died.

In: what beats.  Out: nothing; the block that works runs on, whatever a beat meets.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection

logger = logging.getLogger(__name__)

BEAT = 1.0  # seconds


@contextmanager
def beating(subject: str, beat: Callable[[], bool]) -> Iterator[None]:
    """Call `beat` every second until it returns False (the row is another's now) or the block ends.

    One that raises, as when the database is away, is logged, and the next second tries again.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(BEAT):
            try:
                if not beat():
                    return
            except Exception:
                logger.exception("the watch over %s goes on", subject)
            finally:
                connection.close()

    thread = threading.Thread(target=watch, name=subject.replace(" ", "-"), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=5)
