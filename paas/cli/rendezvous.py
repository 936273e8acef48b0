"""This terminal, joined to a process on the platform: Heroku's rendezvous.

In: the URL that the API gave, and the platform's authority.  Out: what the process prints, and its exit status.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from paas.cli.failures import Failure, Unreachable
from runtime.stdin import pieces

CONNECT_SECONDS = 15.0
START_SECONDS = 240.0  # the host may have to fetch the app first
GREETING = b"rendezvous\r\n"
END_OF_INPUT = b"\x04"
MARK = "\uffff paas-exit-status: ".encode()
STATUS = re.compile(re.escape(MARK) + rb"(\d{1,3})\r\n")
LONGEST_STATUS = 5  # digits and the line's end


def terminal_env() -> dict[str, str]:
    """Return what the process should know of this terminal; nothing when there is none."""
    if not (os.isatty(0) and os.isatty(1)):
        return {}
    size = os.get_terminal_size(1)
    return {"TERM": os.environ.get("TERM", "xterm"), "COLUMNS": str(size.columns), "LINES": str(size.lines)}


def join(url: str, authority: str, *, raw: bool) -> int | None:
    """Carry this terminal until the process has ended; return its status, None when the platform does not know it."""
    return asyncio.run(_join(url, authority, raw=raw))


async def _join(url: str, authority: str, *, raw: bool) -> int | None:
    parts = urlsplit(url)
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=authority)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
    except (OSError, TimeoutError) as error:
        raise Unreachable(f"Cannot reach {parts.hostname}:{parts.port} to attach to it: {error}.") from error
    try:
        writer.write(f"{parts.path[1:]}?status=1\r\n".encode())
        await _greeting(reader)
        with _raw(raw):
            feeding = asyncio.create_task(_feed(writer))
            try:
                return await _show(reader)
            finally:
                feeding.cancel()
    finally:
        writer.close()


async def _greeting(reader: asyncio.StreamReader) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            await reader.readexactly(len(GREETING))
    except (OSError, EOFError, TimeoutError) as error:
        raise Failure("The process did not start; try again, or look at the log: paas logs.") from error


async def _show(reader: asyncio.StreamReader) -> int | None:
    """Print everything but the platform's last words, which say how it ended."""
    held = b""
    with suppress(OSError):
        while data := await reader.read(65536):
            shown, held = split_status(held + data)
            _print(shown)
    match = STATUS.fullmatch(held)
    if match is None:
        _print(held)
        return None
    return int(match[1])


def split_status(data: bytes) -> tuple[bytes, bytes]:
    """Split off what may be the platform's last words, or their beginning."""
    for place in range(max(0, len(data) - len(MARK) - LONGEST_STATUS), len(data)):
        rest = data[place:]
        if MARK.startswith(rest) or rest.startswith(MARK):
            return data[:place], rest
    return data, b""


def _print(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


async def _feed(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        async for piece in pieces():
            writer.write(piece)
            await writer.drain()
        writer.write(END_OF_INPUT)
        await writer.drain()


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
