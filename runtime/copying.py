"""Files between this machine and a session that carries a tar stream.

In: a local path and a session.  Out: the exit status of the other side. Bounded memory: pipes on both ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

from runtime import tarball

PIECE = 64 * 1024
OUTPUT, ERRORS = 1, 2
Send = Callable[[bytes], Awaitable[None]]


class CopyError(Exception):
    """A sentence."""


def is_there(path: str) -> None:
    """Raise CopyError for a local path that cannot be read."""
    if not os.path.lexists(path):
        raise CopyError(f"There is no {path} here.")


async def send_files(path: str, send: Send, end: Callable[[], Awaitable[None]]) -> None:
    """Write a tar stream of `path`; then say that it was all."""
    inner, outer = os.pipe()
    thread = threading.Thread(target=_pack, args=(path, outer), daemon=True)
    thread.start()
    loop = asyncio.get_running_loop()
    try:
        while piece := await loop.run_in_executor(None, os.read, inner, PIECE):
            await send(piece)
        await end()
    finally:
        os.close(inner)


def _pack(path: str, descriptor: int) -> None:
    with os.fdopen(descriptor, "wb") as stream:
        try:
            tarball.pack(path, stream, lambda text: print(text, file=sys.stderr))
        except BrokenPipeError:  # the other side has refused it
            return


async def receive_files(output: AsyncIterator[tuple[int, bytes]], path: str) -> None:
    """Unpack what comes at `path`; errors of the other side are shown. Raises CopyError when something is refused."""
    inner, outer = os.pipe()
    problems: list[str] = []
    thread = threading.Thread(target=_unpack, args=(inner, path, problems), daemon=True)
    thread.start()
    loop, got = asyncio.get_running_loop(), False
    try:
        async for channel, data in output:
            if channel == ERRORS:
                sys.stderr.write(data.decode(errors="replace"))
            elif data and not problems:
                got = True
                await loop.run_in_executor(None, _write_all, outer, data)
    finally:
        os.close(outer)
        await loop.run_in_executor(None, thread.join)
    if problems and got:
        raise CopyError(problems[0])


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _unpack(descriptor: int, path: str, problems: list[str]) -> None:
    with os.fdopen(descriptor, "rb") as stream:
        try:
            tarball.unpack(stream, path)
        except (tarball.Refused, OSError) as error:
            problems.append(str(error))
        while stream.read(PIECE):  # so that the other end is not stopped by a full pipe
            pass
