"""The body of a git request.

In: the WSGI environment (never `request.body`: Django reads a chunked body as empty).  Out: bytes in pieces, inflated
when the client compressed them, with a deadline per read and for the whole; nothing is buffered.
"""

from __future__ import annotations

import select
import socket
import time
import zlib
from collections.abc import Callable
from typing import Any

from paas.controller.git.limits import Limits
from paas.controller.git.objects import PackRefused

_GZIP = 31


class BodyBroken(Exception):
    """The client went away, stalled, or sent no valid HTTP. `str(error)` says which."""


class Body:
    """Reads one request's body. Also knows whether the client is still there."""

    def __init__(self, environ: dict[str, Any], limits: Limits) -> None:
        self._read: Callable[[int], bytes] = environ["wsgi.input"].read
        self._socket: socket.socket | None = environ.get("gunicorn.socket")
        self._left = None if environ.get("wsgi.input_terminated") else int(environ.get("CONTENT_LENGTH") or 0)
        self._inflater = zlib.decompressobj(_GZIP) if environ.get("HTTP_CONTENT_ENCODING") == "gzip" else None
        self._compressed = b""
        self._limits = limits
        self._deadline = time.monotonic() + limits.upload_timeout
        if self._socket is not None:
            self._socket.settimeout(limits.body_timeout)

    def recv(self, count: int) -> bytes:
        """Return 1 to `count` bytes, or b"" at the end of the body."""
        return self._recv_plain(count) if self._inflater is None else self._recv_inflated(count)

    def drain(self, limit: int) -> bool:
        """Read and forget the rest, so that the client hears the answer; False when there was more than `limit`."""
        while limit > 0:
            piece = self._recv_plain(1 << 16)
            if not piece:
                return True
            limit -= len(piece)
        return False

    def is_abandoned(self) -> bool:
        """Return whether the client has closed the connection (it sends nothing after its body)."""
        if self._socket is None or type(self._socket) is not socket.socket:
            return False
        look = select.poll()  # not recv(MSG_DONTWAIT): with a timeout set, Python waits before it
        look.register(self._socket, select.POLLIN)
        try:
            return bool(look.poll(0)) and self._socket.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True

    def refuse_more(self) -> None:
        """Nothing that still comes will be read: let the server close the connection after the answer."""
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RD)
            except OSError:
                self._left = 0

    def _recv_plain(self, count: int) -> bytes:
        if self._left is not None:
            count = min(count, self._left)
            if not count:
                return b""
        if time.monotonic() > self._deadline:
            raise BodyBroken(f"the upload took more than {self._limits.upload_timeout:.0f} seconds")
        try:
            piece = self._read(count)
        except TimeoutError:
            raise BodyBroken(f"nothing arrived for {self._limits.body_timeout:.0f} seconds") from None
        except Exception as error:  # gunicorn's parser has its own classes, none of them an OSError
            raise BodyBroken(f"the upload broke off ({type(error).__name__})") from error
        if self._left is not None:
            self._left -= len(piece)
            if not piece and self._left:
                raise BodyBroken("the upload broke off")
        return piece

    def _recv_inflated(self, count: int) -> bytes:
        inflater = self._inflater
        while inflater is not None and not inflater.eof:
            if not self._compressed:
                self._compressed = self._recv_plain(1 << 16)
                if not self._compressed:
                    raise BodyBroken("the compressed upload broke off")
            try:
                piece = inflater.decompress(self._compressed, count)
            except zlib.error as error:
                raise PackRefused("the request's body is not valid gzip") from error
            self._compressed = inflater.unconsumed_tail
            if piece:
                return piece
        return b""
