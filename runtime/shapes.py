"""JSON into typed values, from any thread.

In: JSON and a type.  Out: a value of that type, or ValueError naming the field that is wrong.

msgspec works out what a Struct looks like when it is first decoded, and ends the process (SIGSEGV) when two threads do
that at once with the same Struct, also inside others. Here one thread does it, and the others wait. Whoever decodes a
Struct goes this way.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_one_at_a_time = threading.Lock()
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def decoder(type_: type[T]) -> msgspec.json.Decoder[T]:
    """Return the decoder of a type, the same for all."""
    found = _decoders.get(type_)
    if found is None:
        with _one_at_a_time:
            found = _decoders[type_] = _decoders.get(type_) or msgspec.json.Decoder(type_)
    return found


def decode(data: bytes | str, type_: type[T]) -> T:
    """Read JSON into `type_`. Raises `ValueError` (msgspec.ValidationError) naming the field that is wrong."""
    return decoder(type_).decode(data)


def convert(data: Any, type_: type[T]) -> T:
    """Read dicts and lists into `type_`. Raises `ValueError` naming the field that is wrong."""
    decoder(type_)
    return msgspec.convert(data, type=type_)
