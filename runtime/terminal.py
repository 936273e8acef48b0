"""This process's own terminal, joined to a process on a host.

In: an `Attachment`.  Out: what it prints, on stdout and stderr; the exit status. The terminal is raw meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from runtime.attach import STDERR, AttachError, Attachment, InputEnd, Resize, SendSignal
from runtime.stdin import pieces as stdin_pieces


def is_terminal() -> bool:
    return os.isatty(0) and os.isatty(1)


def size() -> tuple[int, int]:
    """Rows and columns."""
    columns, rows = shutil.get_terminal_size()
    return rows, columns


async def join(attachment: Attachment, *, terminal: bool, stdin: bool = True) -> int:
    """Carry stdin, stdout, stderr, the terminal's size and signals until the process has ended; return its status.

    Raises AttachError when the session ends before the process.
    """
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def later(value: Resize | SendSignal) -> None:
        task = loop.create_task(_tell(attachment, value))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def on_signal(number: signal.Signals) -> None:
        rows, columns = size()
        resized = number is signal.SIGWINCH
        later(Resize(rows=rows, columns=columns) if resized else SendSignal(number=number))

    numbers = (signal.SIGWINCH,) if terminal else (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, on_signal, number)
    feeding = loop.create_task(_feed(attachment)) if stdin else None
    try:
        with _raw(terminal):
            async for channel, data in attachment.output():
                _write(2 if channel == STDERR else 1, data)
    finally:
        if feeding is not None:
            feeding.cancel()
        for number in numbers:
            loop.remove_signal_handler(number)
    if attachment.ended is None or attachment.ended.code is None:
        raise AttachError("It has ended; how is not known.")
    return attachment.ended.code


async def _tell(attachment: Attachment, value: Resize | SendSignal) -> None:
    with suppress(OSError):
        await attachment.control(value)


async def _feed(attachment: Attachment) -> None:
    with suppress(OSError):
        async for piece in stdin_pieces():
            await attachment.write(piece)
        await attachment.control(InputEnd())


def _write(descriptor: int, data: bytes) -> None:
    stream = sys.stderr if descriptor == 2 else sys.stdout
    stream.buffer.write(data)
    stream.buffer.flush()


@contextmanager
def _raw(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
