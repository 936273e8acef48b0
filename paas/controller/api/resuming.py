"""Going on with an output that broke off, by the number of bytes that have been read.

In: `Range: bytes=N-` or `?offset=N`, and lines.  Out: the bytes from there on, with status and headers for them.
Of an output that still grows nobody knows the end: its range is open, as RFC 8673 writes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponseBase

from paas.controller.api.streams import stream
from paas.errors import BadRequest, RangeNotSatisfiable

OPEN_END = 2**63 - 1
_RANGE = re.compile(r"\s*bytes\s*=\s*([0-9]{1,18})\s*-\s*([0-9]{0,19})\s*")
_OFFSET = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class Start:
    """The byte to begin with. `partial`: asked for by `Range`, and so answered with 206."""

    at: int = 0
    partial: bool = False


def start_of(request: HttpRequest) -> Start:
    """Read where to begin. A range of another kind than `bytes=N-` is passed over, as RFC 9110 has it.

    Raises BadRequest for an offset that is no number.
    """
    given = request.GET.get("offset", "")
    if given:
        if not _OFFSET.fullmatch(given):
            raise BadRequest(f"offset={given[:40]} is no number of bytes. Leave it out for the whole output.")
        return Start(int(given))
    found = _RANGE.fullmatch(request.headers.get("Range", ""))
    open_ended = found is not None and (not found[2] or int(found[2]) >= OPEN_END)
    return Start(int(found[1]), True) if found and open_ended else Start()


def answer(lines: Iterable[str], start: Start, complete: str | None = None) -> HttpResponseBase:
    """Answer lines from a byte on. `complete` is the whole text of an output that has ended.

    Raises RangeNotSatisfiable where an output that has ended is shorter.
    """
    size = None if complete is None else len(complete.encode())
    if size is not None and (start.at > size or (start.partial and start.at == size > 0)):
        raise RangeNotSatisfiable(f"The output has ended, and has {size} bytes. Nothing comes after them.")
    text = (f"{line}\n" for line in lines) if complete is None else (complete,)
    response = stream(from_byte(text, start.at), "text/plain; charset=utf-8")
    response["Accept-Ranges"] = "bytes"
    if start.partial and size != 0:
        response.status_code = 206
        last, whole = (OPEN_END, "*") if size is None else (size - 1, str(size))
        response["Content-Range"] = f"bytes {start.at}-{last}/{whole}"
    return response


def from_byte(pieces: Iterable[str], at: int) -> Iterator[bytes]:
    """Leave out the first `at` bytes, in the middle of a character, too."""
    for piece in pieces:
        data = piece.encode()
        rest, at = data[at:], max(0, at - len(data))
        if rest:
            yield rest
