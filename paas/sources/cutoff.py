"""The time at which a fetch ends, whatever the other side does.

In: seconds, connections as they are opened.  Out: connections that are shut down at that time, also in the middle of a
handshake or of headers: a server that sends one byte now and then keeps nobody longer.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType

from paas.sources.errors import SourceError


class Cutoff:
    """As a context. `wanted` is called about once a second from `check`, and raises when nobody waits any more."""

    def __init__(self, seconds: float, wanted: Callable[[], None] = lambda: None) -> None:
        self.seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._wanted, self._looked = wanted, time.monotonic()
        self._held: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Cutoff:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._timer.join()
        for one in self._held:
            one.close()

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._deadline

    def hold(self, connection: socket.socket) -> None:
        """Take note of a connection by a descriptor of its own: TLS takes the other one away."""
        with self._lock:
            self._held.append(connection.dup())
        if self.over:
            self._end()

    def _end(self) -> None:
        with self._lock:
            for one in self._held:
                with contextlib.suppress(OSError):  # it may be over by itself
                    one.shutdown(socket.SHUT_RDWR)

    def check(self, name: str) -> None:
        """Raises SourceError when the time is over, and what `wanted` raises."""
        if self.over:
            raise too_slow(name, self.seconds)
        if time.monotonic() - self._looked > 1:
            self._looked = time.monotonic()
            self._wanted()


def too_slow(name: str, seconds: float) -> SourceError:
    return SourceError(
        f"{name} took longer than {seconds:.0f} seconds. Try again later; if it is large, leave out what the app does "
        "not need."
    )
