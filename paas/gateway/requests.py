"""What a connection begins with: a request of HTTP, to be passed on, or the secret of a rendezvous.

In: its first bytes.  Out: where it goes, and the head as the server behind shall see it. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_REQUEST = re.compile(rb"([A-Z]{1,16}) (\S{1,16384}) HTTP/1\.[01]\r?\n")
_GIT_PATH = re.compile(rb"/[^/?]+\.git(/|\?|$)")
# One request per connection: the next may be for another server. And only this process says where it came from.
_DROPPED = {b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"forwarded"}


@dataclass(frozen=True)
class RequestLine:
    method: bytes
    target: bytes

    @property
    def for_git(self) -> bool:
        return bool(_GIT_PATH.match(self.target))


def parse_request_line(line: bytes) -> RequestLine | None:
    """Return the request that a line begins, None for anything else."""
    match = _REQUEST.fullmatch(line)
    return RequestLine(match[1], match[2]) if match else None


def rewrite_head(lines: list[bytes], peer: str) -> bytes:
    """Return the head of a request (its lines without the empty one) as it is passed on."""
    kept = [lines[0], *(line for line in lines[1:] if not _is_dropped(line))]
    added = [f"X-Forwarded-For: {peer}", "X-Forwarded-Proto: https", "Connection: close"]
    return b"".join(kept) + "".join(f"{line}\r\n" for line in added).encode() + b"\r\n"


def _is_dropped(line: bytes) -> bool:
    name = line.partition(b":")[0].strip().lower()
    return name in _DROPPED or name.startswith(b"x-forwarded-")


def parse_secret(line: bytes) -> tuple[str, frozenset[str]]:
    """Split the first line of a rendezvous, `SECRET[?WISH&WISH]`, into the secret and the wishes."""
    secret, _, query = line.strip().decode("ascii", "replace").partition("?")
    return secret, frozenset(query.split("&"))
