"""The little of the DNS wire format that answering for names of containers takes (RFC 1035, RFC 6891).

In: a query's bytes.  Out: its question, and the bytes of an answer. Whatever is not ours is forwarded as it came.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from enum import IntEnum

from runtime.model import Struct

TYPE_A, CLASS_IN = 1, 1
TTL = 1  # seconds: an answer must not outlive an instance for longer
PLAIN_SIZE, OWN_SIZE = 512, 1232  # bytes of a datagram: without EDNS, and what needs no fragments anywhere
_HEADER = struct.Struct(">HHHHHH")
_RESPONSE, _AUTHORITATIVE, _TRUNCATED, _DESIRED, _AVAILABLE = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
_OPCODE = 0x7800
_OPT = b"\0\0\x29"  # the root's name, type 41
_RECORD_SIZE = 16


class Code(IntEnum):
    OK = 0
    FAILED = 2
    NO_SUCH_NAME = 3
    REFUSED = 5


class Query(Struct):
    """A query with one question. `question` are its bytes as they came; `room`: how long a datagram may be."""

    id: int
    recursion: bool
    name: str
    type: int
    question: bytes
    edns: bool
    room: int


def parse(data: bytes) -> Query | None:
    """Read a query; None when it is malformed, no query, or asks not exactly one thing."""
    try:
        id_, flags, questions, *_ = _HEADER.unpack_from(data)
        if flags & (_RESPONSE | _OPCODE) or questions != 1:
            return None
        name, end = _read_name(data, _HEADER.size)
        type_, class_ = struct.unpack_from(">HH", data, end)
    except (struct.error, IndexError, ValueError):
        return None
    if class_ != CLASS_IN:
        return None
    edns = data[end + 4 : end + 7] == _OPT and len(data) >= end + 15
    size = struct.unpack_from(">H", data, end + 7)[0] if edns else PLAIN_SIZE
    return Query(
        id=id_,
        recursion=bool(flags & _DESIRED),
        name=name,
        type=type_,
        question=data[_HEADER.size : end + 4],
        edns=edns,
        room=max(PLAIN_SIZE, min(size, OWN_SIZE)),
    )


def _read_name(data: bytes, at: int) -> tuple[str, int]:
    """Labels of ASCII in small letters; compression is for answers only."""
    labels: list[str] = []
    while length := data[at]:
        if length > 63 or at + length >= len(data) or len(labels) > 127:
            raise ValueError("a label too long")
        labels.append(data[at + 1 : at + 1 + length].decode("ascii").lower())
        at += 1 + length
    return ".".join(labels), at + 1


def render(query: Query, addresses: Sequence[str], code: Code = Code.OK, *, limited: bool = True) -> bytes:
    """Return an answer with these A records. `limited`: by datagram, where what has no room is cut off, and said."""
    tail = _OPT + struct.pack(">HIH", OWN_SIZE, 0, 0) if query.edns else b""
    given = addresses if query.type == TYPE_A else ()
    room = query.room if limited else 0xFFFF
    fitting = given[: max(0, room - _HEADER.size - len(query.question) - len(tail)) // _RECORD_SIZE]
    flags = _RESPONSE | _AUTHORITATIVE | _AVAILABLE | code
    flags |= _DESIRED if query.recursion else 0
    flags |= _TRUNCATED if len(fitting) < len(given) else 0
    head = _HEADER.pack(query.id, flags, 1, len(fitting), 0, 1 if tail else 0)
    return head + query.question + b"".join(_record(address) for address in fitting) + tail


def _record(address: str) -> bytes:
    """The name is a pointer to the question's."""
    packed = ipaddress.IPv4Address(address).packed
    return struct.pack(">HHHIH", 0xC000 | _HEADER.size, TYPE_A, CLASS_IN, TTL, len(packed)) + packed


def read_addresses(data: bytes) -> tuple[tuple[str, ...], int]:
    """Return the addresses in an answer's A records and for how many seconds they hold; what is malformed ends them."""
    found: list[str] = []
    ttls: list[int] = []
    try:
        _, _, questions, count, *_ = _HEADER.unpack_from(data)
        at = _HEADER.size
        for _ in range(questions):
            at = _skip_name(data, at) + 4
        for _ in range(count):
            at = _skip_name(data, at)
            type_, class_, ttl, length = struct.unpack_from(">HHIH", data, at)
            at += 10
            ttls.append(ttl)  # that of an alias on the way counts too
            if (type_, class_, length) == (TYPE_A, CLASS_IN, 4) and len(data) >= at + 4:
                found.append(str(ipaddress.IPv4Address(data[at : at + 4])))
            at += length
    except (struct.error, IndexError):
        pass
    return tuple(dict.fromkeys(found)), min(ttls, default=0)


def _skip_name(data: bytes, at: int) -> int:
    while length := data[at]:
        if length >= 0xC0:
            return at + 2
        at += 1 + length
    return at + 1


def answers(data: bytes, query: Query) -> bool:
    """Tell whether `data` may be a server's answer to this query."""
    if len(data) < _HEADER.size:
        return False
    id_, flags, *_ = _HEADER.unpack_from(data)
    return id_ == query.id and bool(flags & _RESPONSE)
