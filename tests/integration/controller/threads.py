"""Several callers at once, each with a database connection of its own.

In: callables.  Out: what each returned or raised, in their order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection

PATIENCE = 30.0


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Call all of them at the same moment. Raises when one does not come back."""
    start = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(number: int, call: Callable[[], Any]) -> None:
        try:
            start.wait(PATIENCE)
            results[number] = call()
        except Exception as error:  # the test looks at it
            results[number] = error
        finally:
            connection.close()

    threads = [
        threading.Thread(target=run, args=(number, call), daemon=True) for number, call in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "a caller hangs"
    return results


def failures(results: list[Any]) -> list[Exception]:
    return [one for one in results if isinstance(one, Exception)]
