"""The stdio of a further process in a container, as asyncio knows it.

In: an `Execution`.  Out: what a client's messages do to it, and its output as frames.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator

from runtime.agent.calls import process_gone
from runtime.attach import STDERR, STDOUT
from runtime.container.port import Execution

log = logging.getLogger(__name__)
DRAIN_SECONDS = 0.5  # for output in flight when a process has ended but its children keep its pipes


class ExecInput:
    """A client's messages, for a further process."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        if execution.stdin >= 0:
            os.set_blocking(execution.stdin, False)

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view and self._execution.stdin >= 0:
            try:
                view = view[os.write(self._execution.stdin, view) :]
            except BlockingIOError:
                await _writable(self._execution.stdin)
            except OSError:  # it reads no more
                return

    async def end_input(self) -> None:
        if self._execution.tty:
            await self.write(b"\x04")
        else:
            self._execution.close_stdin()

    async def resize(self, rows: int, columns: int) -> None:
        self._execution.resize(rows, columns)

    async def signal(self, number: int) -> None:
        self._execution.signal(number)


async def exec_output(execution: Execution) -> AsyncIterator[bytes]:
    """Yield frames until both streams end, or until the process has and its children keep them open."""
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(16)
    sources = [(STDOUT, execution.stdout), (STDERR, execution.stderr)]
    readers = [asyncio.ensure_future(_read(fd, channel, queue)) for channel, fd in sources if fd >= 0]
    gone = asyncio.ensure_future(process_gone(execution.supervisor))
    deadline: float | None = None
    loop, left = asyncio.get_running_loop(), len(readers)
    try:
        while left:
            getting = asyncio.ensure_future(queue.get())
            if deadline is None:
                await asyncio.wait({getting, gone}, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    deadline = loop.time() + DRAIN_SECONDS
            if deadline is not None and not getting.done():
                await asyncio.wait({getting}, timeout=max(0.0, deadline - loop.time()))
            if not getting.done():
                getting.cancel()
                return
            frame = getting.result()
            if frame is None:
                left -= 1
            else:
                yield frame
    finally:
        for task in (*readers, gone):
            task.cancel()
        await asyncio.gather(*readers, gone, return_exceptions=True)


async def _read(descriptor: int, channel: int, queue: asyncio.Queue[bytes | None]) -> None:
    while data := await read_some(descriptor):
        await queue.put(bytes([channel]) + data)
    await queue.put(None)


async def read_some(descriptor: int) -> bytes:
    """Wait for output; b'' when there will be no more."""
    os.set_blocking(descriptor, False)
    while True:
        try:
            return os.read(descriptor, 32768)
        except BlockingIOError:
            await _readable(descriptor)
        except OSError as error:  # a terminal whose last user has gone
            if error.errno != errno.EIO:
                log.warning("the output of a process could not be read: %s", error)
            return b""


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


async def _writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)
