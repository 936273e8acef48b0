"""The supervisor's door for commands from another shell: one JSON line in, one out, over a unix socket.

In: `{"do": "status"}`, `{"do": "down"}`, `{"do": "restart", "name": "web"}`.  Out: the answer, or `{"error": words}`.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Answer = dict[str, Any]


class NotRunning(Exception):
    """No supervisor answers for this data folder."""


async def serve(file: Path, answer: Callable[[Answer], Awaitable[Answer]]) -> asyncio.Server:
    """Listen for commands. Only root can connect."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            question = json.loads(await asyncio.wait_for(reader.readline(), 5))
            reply = await answer(question)
            writer.write(json.dumps(reply).encode() + b"\n")
            await writer.drain()
        except (ValueError, TimeoutError, ConnectionError):
            pass  # whoever asked has gone, or does not speak this language
        finally:
            writer.close()

    file.unlink(missing_ok=True)
    mask = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(handle, file)
    finally:
        os.umask(mask)


def ask(file: Path, question: Answer, timeout: float = 60) -> Answer:
    """Send one command and return the answer. Raises NotRunning."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(timeout)
        try:
            client.connect(str(file))
            client.sendall(json.dumps(question).encode() + b"\n")
            with client.makefile("rb") as stream:
                line = stream.readline()
        except OSError as error:
            raise NotRunning("The platform is not running.") from error
    if not line:
        raise NotRunning("The platform is stopping.")
    reply: Answer = json.loads(line)
    return reply
