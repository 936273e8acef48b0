"""The form of everything that crosses the wire of the agent: frozen, checked, JSON.

In: values.  Out: JSON of them, and back; ValueError names the field that is wrong.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar, dataclass_transform

import msgspec

from runtime import shapes

T = TypeVar("T")

# What a reader can count on: numbers that a database column holds and a calendar has, addresses and ports that exist.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Size = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Moment = Annotated[float, msgspec.Meta(ge=0, le=250_000_000_000)]  # Unix seconds
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Address = Annotated[str, msgspec.Meta(pattern=r"^([0-9A-Fa-f.:]{2,45})?\Z")]
Id = Annotated[int, msgspec.Meta(ge=0, le=65535)]  # of a user or group, inside


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=False, kw_only=True):
    """Base of all values on the wire: frozen, keyword-only, unknown fields refused."""


class ErrorBody(Struct):
    """What the agent answers with a 4xx or 5xx: a stable id and a sentence."""

    id: str
    message: str


def encode(value: Struct) -> bytes:
    """Return the JSON of a value."""
    return msgspec.json.encode(value)


def decode(data: bytes, type_: type[T]) -> T:
    """Read JSON into `type_`. Raises `ValueError` (msgspec.ValidationError) naming the field that is wrong."""
    return shapes.decode(data, type_)


def to_builtins(value: Struct) -> Any:
    """Return plain dicts and lists, for storing in a JSON column."""
    return msgspec.to_builtins(value)


def from_builtins(data: Any, type_: type[T]) -> T:
    """The inverse of `to_builtins`. Raises `ValueError` naming the field that is wrong."""
    return shapes.convert(data, type_)
