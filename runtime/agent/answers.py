"""An HTTP answer, as far as a health check reads it (RFC 9112).

In: a stream on which a request was sent.  Out: its status line, and whether its body has a text. Nothing of it is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

ANSWER_MOST = 64 * 1024  # bytes that are read, lines between chunks counted


class Answer:
    """What a stream answers, its first `most` bytes: what comes after them is as if it had not been sent."""

    def __init__(self, reader: asyncio.StreamReader, most: int = ANSWER_MOST) -> None:
        self._reader = reader
        self._left = most

    async def line(self) -> bytes:
        """Raises ValueError for one that is longer than the stream's limit."""
        line = await self._reader.readline() if self._left > 0 else b""
        self._left -= len(line)
        return line

    async def contains(self, text: bytes) -> bool:
        """Whether the body has it. The status line was read before. Raises ValueError for what is no HTTP."""
        headers = await self._headers()
        body, looked = bytearray(), 0
        async for piece in self._pieces(headers):
            body += piece
            if body.find(text, looked) >= 0:
                return True
            looked = max(0, len(body) - len(text) + 1)
        return False

    async def _headers(self) -> dict[bytes, bytes]:
        found = {}
        while (line := await self.line()).strip():
            name, _, value = line.partition(b":")
            found[name.strip().lower()] = value.strip()
        return found

    def _pieces(self, headers: dict[bytes, bytes]) -> AsyncIterator[bytes]:
        if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
            return self._chunks()
        return self._plain(int(headers.get(b"content-length", ANSWER_MOST)))

    async def _plain(self, size: int) -> AsyncIterator[bytes]:
        while size > 0 and self._left > 0:
            piece = await self._reader.read(min(size, self._left))
            if not piece:
                return
            size, self._left = size - len(piece), self._left - len(piece)
            yield piece

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int((await self.line()).split(b";")[0] or b"0", 16):
            async for piece in self._plain(size):
                yield piece
            await self.line()
