"""What bin/release prints.

In: YAML as buildpacks write it: mappings of scalars, a list of add-ons; JSON too. The builder has no YAML library, so
anything further (block scalars, anchors, tags) is refused in words.  Out: frozen values. Pure.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

KEY = re.compile(r"""(?:"([^"\\]*)"|'([^']*)'|([A-Za-z_][\w.-]*))\s*:(?:\s+(.*)|)""")
SPECIAL = "[]{}&*!|>%@`,"
EMPTY = ("", "{}", "[]", "~", "null")


class Unreadable(ValueError):
    """Well-formed, but not what bin/release may say."""


@dataclass(frozen=True)
class Release:
    processes: dict[str, str] = field(default_factory=dict)
    config_vars: dict[str, str] = field(default_factory=dict)
    addons: tuple[str, ...] = ()


def parse_release(text: str) -> Release:
    """Return the release. Raises ValueError naming the line that cannot be read."""
    found = _json(text) if text.strip().startswith("{") else _mappings(text)
    addons = found.get("addons") or []
    if not isinstance(addons, list):
        raise Unreadable("addons is no list")
    return Release(
        _texts(found, "default_process_types"), _texts(found, "config_vars"), tuple(map(str, addons))
    )


def _json(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise Unreadable("it is no mapping")
    return found


def _texts(found: dict[str, Any], name: str) -> dict[str, str]:
    values = found.get(name) or {}
    if not isinstance(values, dict):
        raise Unreadable(f"{name} is no mapping")
    return {str(key): str(value) for key, value in values.items()}


def _mappings(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    top = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.rstrip()
        if not line.strip() or line.lstrip().startswith("#") or line in ("...", "---", "--- {}"):
            continue
        try:
            top = _line(found, top, line.removeprefix("--- "))
        except ValueError as error:
            raise ValueError(f"line {number} ({line.strip()[:80]!r}): {error}") from error
    return found


def _line(found: dict[str, Any], top: str, line: str) -> str:
    """Take one line in; return the top-level key that the next ones belong to."""
    body = line.strip()
    if line.startswith("\t"):
        raise ValueError("YAML is indented with spaces")
    if body == "-" or body.startswith("- "):
        if not top or not isinstance(found.setdefault(top, []) or [], list):
            raise ValueError("a list item where none belongs")
        found[top] = [*(found[top] or []), _scalar(body[1:].strip())]
        return top
    key, rest = _pair(body)
    if not line.startswith(" "):
        if rest not in EMPTY and not rest.startswith("#"):
            raise ValueError("a mapping or a list belongs below it")
        found[key] = None
        return key
    if not top or isinstance(found[top], list):
        raise ValueError("it is indented below nothing")
    found[top] = {**(found[top] or {}), key: _scalar(rest)}
    return top


def _pair(body: str) -> tuple[str, str]:
    match = KEY.fullmatch(body)
    if match is None:
        raise ValueError("it is no `name: value`")
    return next(part for part in match.groups()[:3] if part is not None), (match[4] or "").strip()


def _scalar(text: str) -> str:
    if text.startswith('"'):
        return _double_quoted(text)
    if text.startswith("'"):
        match = re.fullmatch(r"'((?:[^']|'')*)'(?:\s+#.*)?", text)
        if match is None:
            raise ValueError("the quote does not end")
        return match[1].replace("''", "'")
    plain = re.sub(r"(^|\s+)#.*$", "", text)
    if plain[:1] and plain[0] in SPECIAL:
        raise ValueError(f"values that begin with {plain[0]} are not read here; put it into quotes")
    if ": " in plain or plain.endswith(":"):
        raise ValueError("a value with a colon belongs into quotes")
    return plain


def _double_quoted(text: str) -> str:
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except ValueError as error:
        raise ValueError("the quoted text cannot be read") from error
    if text[end:].strip() and not text[end:].strip().startswith("#"):
        raise ValueError("something follows the quoted text")
    return str(value)
