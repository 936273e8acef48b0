"""`app.json`: what an app says about itself besides its code. Here its health checks; the rest is in `declared`.

In: the file's bytes.  Out: a check per process type, in the names of `runtime.model.HealthCheck`, or a BuildError that
says what is wrong.

The format of `healthchecks` is Dokku's: a list of checks per process type, of which the first with a `path` counts,
else the first with a `command`. `statuses` and `successes` are our own.
"""

from __future__ import annotations

import json
import re
from typing import Any

from .errors import BuildError

SECONDS = {"timeout": ("timeout", 60), "wait": ("interval", 3600), "initialDelay": ("start_period", 3600)}
COUNTS = {"attempts": "unhealthy_threshold", "successes": "healthy_threshold"}
LIVENESS_ATTEMPTS = 3
CONTENT_MOST = 500
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
HINT = 'For example: {"healthchecks": {"web": [{"path": "/health"}]}}'


def parse_health_checks(data: bytes) -> dict[str, dict[str, Any]]:
    """Return the checks that app.json declares. Unknown keys are ignored, as tools add their own."""
    document = read_document(data)
    declared = document.get("healthchecks", {})
    if not isinstance(declared, dict):
        raise _invalid("`healthchecks` must be an object with a list of checks per process type")
    found = {name: _first(name, checks) for name, checks in declared.items()}
    return {name: check for name, check in found.items() if check}


def read_document(data: bytes) -> dict[str, Any]:
    """Return the object that app.json holds. Raises BuildError with the line."""
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise _invalid(f"line {error.lineno}: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise _invalid(f"it is not UTF-8 text (byte {error.start})") from error
    if not isinstance(document, dict):
        raise _invalid("it must hold an object")
    return document


def _first(name: str, checks: object) -> dict[str, Any]:
    if not isinstance(checks, list) or not all(isinstance(check, dict) for check in checks):
        raise _invalid(f"`healthchecks.{name}` must be a list of objects")
    check = next((check for check in checks if "path" in check), None)
    if check is not None:
        return {"path": _path(name, check["path"])} | _http(name, check) | _times(name, check)
    check = next((check for check in checks if "command" in check), None)
    return {} if check is None else {"command": _command(name, check["command"])} | _times(name, check)


def _command(name: str, command: object) -> list[str]:
    words = command if isinstance(command, list) else []
    if not words or not all(isinstance(word, str) and word and "\0" not in word for word in words):
        raise _invalid(f"the command of `healthchecks.{name}` must be a list of words")
    return words


def _http(name: str, check: dict[str, Any]) -> dict[str, Any]:
    """What the request says, and which answers will do."""
    found: dict[str, Any] = {}
    if "httpHeaders" in check:
        found["headers"] = dict(_header(name, header) for header in _list(name, "httpHeaders", check))
    if "statuses" in check:
        statuses = _list(name, "statuses", check)
        if len(statuses) != 2 or not all(type(one) is int and 100 <= one <= 599 for one in statuses):
            raise _invalid(f"the statuses of `healthchecks.{name}` must be two, such as [200, 299]")
        found["statuses"] = statuses
    if check.get("content"):
        found["content"] = _content(name, check["content"])
    return found


def _content(name: str, text: object) -> str:
    if not isinstance(text, str) or len(text) > CONTENT_MOST or "\0" in text:
        raise _invalid(f"the content of `healthchecks.{name}` must be text of at most {CONTENT_MOST} letters")
    return text


def _list(name: str, key: str, check: dict[str, Any]) -> list[Any]:
    if not isinstance(check[key], list) or len(check[key]) > 20:
        raise _invalid(f"`{key}` of `healthchecks.{name}` must be a list")
    found: list[Any] = check[key]
    return found


def _header(name: str, header: object) -> tuple[str, str]:
    words = (header.get("name"), header.get("value")) if isinstance(header, dict) else (None, None)
    field, value = words
    if not isinstance(field, str) or not HEADER.fullmatch(field) or not isinstance(value, str):
        raise _invalid(f'a header of `healthchecks.{name}` must be {{"name": "X-Name", "value": "text"}}')
    if not value.isprintable() or len(value) > 500:
        raise _invalid(f"the value of header {field} of `healthchecks.{name}` must be printable text")
    return field, value


def _times(name: str, check: dict[str, Any]) -> dict[str, Any]:
    """Seconds, and how often in a row. A liveness check restarts what fails it as often as `attempts` says."""
    found: dict[str, Any] = {}
    for key, (field, most) in SECONDS.items():
        if key in check:
            found[field] = _seconds(name, key, check[key], most)
    for key, field in COUNTS.items():
        if key in check:
            found[field] = _count(name, key, check[key])
    if check.get("type") == "liveness":
        found["restart_threshold"] = found.get("unhealthy_threshold", LIVENESS_ATTEMPTS)
    return found


def _path(name: str, path: object) -> str:
    if not isinstance(path, str) or not path.startswith("/") or len(path) > 500 or not path.isprintable():
        raise _invalid(f"the path of `healthchecks.{name}` must be text that starts with /")
    return path


def _seconds(name: str, key: str, value: object, most: int) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise _invalid(f"the {key} of `healthchecks.{name}` must be a number of seconds, at most {most}")
    return float(value)


def _count(name: str, key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100:
        raise _invalid(f"the {key} of `healthchecks.{name}` must be a whole number from 1 to 100")
    return value


def _invalid(what: str) -> BuildError:
    return BuildError("app_json_invalid", f"app.json cannot be used: {what}.", hint=HINT)
