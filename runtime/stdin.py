"""This process's standard input, read without keeping its event loop or its end waiting.

In: descriptor 0: a terminal, a pipe or a file.  Out: its pieces, one at a time, as fast as they are taken.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

LARGEST_PIECE = 32 * 1024


async def pieces() -> AsyncIterator[bytes]:
    """Yield what comes in, until its end."""
    read: asyncio.Queue[bytes] = asyncio.Queue()
    taken = threading.Semaphore()
    arguments = (asyncio.get_running_loop(), read.put_nowait, taken)
    threading.Thread(target=_read, args=arguments, daemon=True).start()
    while piece := await read.get():
        yield piece
        taken.release()


def _read(loop: asyncio.AbstractEventLoop, put: Callable[[bytes], None], taken: threading.Semaphore) -> None:
    """Read in a thread, as a file cannot be waited for; nobody waits for the thread when the process ends.

    It gives the loop no coroutine: a loop that ends before it begins one says so on stderr.
    """
    with suppress(RuntimeError):  # the loop is closed
        piece = b"first"
        while piece and taken.acquire():
            piece = _piece()
            loop.call_soon_threadsafe(put, piece)


def _piece() -> bytes:
    """A terminal that has been hung up, or a descriptor that was closed, has come to its end."""
    try:
        return os.read(0, LARGEST_PIECE)
    except OSError:
        return b""
