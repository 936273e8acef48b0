"""Values as TOML: the standard library reads it and does not write it.

In: what tomllib returned, or the like.  Out: text that it reads back as the same. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

BARE = re.compile(r"[A-Za-z0-9_-]+")
ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def to_toml(values: Mapping[str, Any]) -> str:
    return "\n".join(_lines(values, ())) + "\n" if values else ""


def _lines(values: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    """Plain values first: what follows a header belongs to it."""
    lines = [f"{_key(key)} = {_value(value)}" for key, value in values.items() if _plain(value)]
    for key, value in values.items():
        name = ".".join(_key(part) for part in (*path, key))
        if isinstance(value, Mapping):
            lines += ["", f"[{name}]", *_lines(value, (*path, key))]
        elif not _plain(value):
            for one in value:
                lines += ["", f"[[{name}]]", *_lines(one, (*path, key))]
    return lines


def _plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return False
    tables = isinstance(value, list | tuple) and value and all(isinstance(one, Mapping) for one in value)
    return not tables


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else quoted(key)


def quoted(text: str) -> str:
    """Return a basic string."""
    shown = (ESCAPES.get(one, one if one >= " " and one != "\x7f" else f"\\u{ord(one):04X}") for one in text)
    return f'"{"".join(shown)}"'


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value)
