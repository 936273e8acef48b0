"""`CHECKS`: Dokku's file of health checks, from before app.json had any.

In: the file's bytes.  Out: the check of `web` in the names of `runtime.model.HealthCheck`, and what does not count; a
BuildError names the line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from .errors import BuildError

SETTING = re.compile(r"(?:export\s+)?([A-Z_]+)=(.*)")
URL = re.compile(r"(?:https?:)?//([A-Za-z0-9.-]+(?::\d+)?)?(/\S*)?")
SETTINGS = {"WAIT": ("interval", 3600), "TIMEOUT": ("timeout", 60), "ATTEMPTS": ("unhealthy_threshold", 100)}
DIGITS = re.compile(r"[0-9]{1,9}")
PATH_MOST = CONTENT_MOST = 500


@dataclass
class Checks:
    """`check` is empty for a file without a path: then web is up when it listens."""

    check: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def parse_checks(data: bytes) -> Checks:
    """Read CHECKS. Its first path is the check, with the text that its answer must hold; a host before it becomes the
    Host header."""
    found, times = Checks(), {}
    for number, line in enumerate(data.decode("utf-8-sig", "replace").splitlines(), start=1):
        text = line.strip()
        setting = SETTING.fullmatch(text)
        if not text or text.startswith("#"):
            continue
        if setting:
            times.update(_setting(number, setting[1], setting[2].split("#")[0].strip().strip("'\""), found))
        elif found.check:
            found.warnings.append(f"CHECKS line {number}: only the first path is checked.")
        else:
            _take(number, text, found)
    if found.check:
        found.check |= times
    return found


def _setting(number: int, name: str, value: str, found: Checks) -> dict[str, Any]:
    if name not in SETTINGS:
        found.warnings.append(f"CHECKS line {number}: {name} has no effect here.")
        return {}
    key, most = SETTINGS[name]
    if not DIGITS.fullmatch(value) or not 1 <= int(value) <= most:
        raise _invalid(number, f"{name} must be a whole number from 1 to {most}")
    return {key: int(value) if name == "ATTEMPTS" else float(value)}


def _take(number: int, text: str, found: Checks) -> None:
    where, *rest = text.split(maxsplit=1)
    match = URL.fullmatch(where)
    host, path = (match[1], match[2] or "/") if match else (None, where)
    if not path.startswith("/") or len(path) > PATH_MOST or not path.isascii():
        raise _invalid(number, f"{where[:80]!r} is no path; a line is `/PATH EXPECTED TEXT`")
    found.check = {"path": path} | ({"headers": {"Host": host}} if host else {})
    if rest:
        found.check["content"] = _content(number, rest[0])


def _content(number: int, text: str) -> str:
    if len(text) > CONTENT_MOST or "\0" in text:
        raise _invalid(number, f"the expected text must be text of at most {CONTENT_MOST} letters")
    return text


def _invalid(number: int, what: str) -> BuildError:
    hint = 'Or move it to app.json: {"healthchecks": {"web": [{"path": "/health"}]}}'
    return BuildError("checks_invalid", f"CHECKS line {number}: {what}.", hint=hint)
