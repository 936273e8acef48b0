"""`app.json`: what an app says about itself besides its code. Health checks are read; everything else is left alone.

In: the file's bytes.  Out: `{process type: {"path": ..., "timeout": ...}}`, or a BuildError that says what is wrong.

The format of `healthchecks` is Dokku's: a list of checks per process type, of which the first with a `path` counts.
"""

from __future__ import annotations

import json
from typing import Any

from .errors import BuildError

HINT = 'For example: {"healthchecks": {"web": [{"path": "/health"}]}}'


def parse_health_checks(data: bytes) -> dict[str, dict[str, Any]]:
    """Return the HTTP checks that app.json declares. Unknown keys are ignored, as tools add their own."""
    document = _read(data)
    declared = document.get("healthchecks", {})
    if not isinstance(declared, dict):
        raise _invalid("`healthchecks` must be an object with a list of checks per process type")
    found = {name: _first(name, checks) for name, checks in declared.items()}
    return {name: check for name, check in found.items() if check}


def _read(data: bytes) -> dict[str, Any]:
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
    return {} if check is None else {"path": _path(name, check["path"])} | _timeout(name, check)


def _path(name: str, path: object) -> str:
    if not isinstance(path, str) or not path.startswith("/") or len(path) > 500 or not path.isprintable():
        raise _invalid(f"the path of `healthchecks.{name}` must be text that starts with /")
    return path


def _timeout(name: str, check: dict[str, Any]) -> dict[str, float]:
    """Seconds that one answer may take."""
    if "timeout" not in check:
        return {}
    seconds = check["timeout"]
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 60:
        raise _invalid(f"the timeout of `healthchecks.{name}` must be a number of seconds, at most 60")
    return {"timeout": float(seconds)}


def _invalid(what: str) -> BuildError:
    return BuildError("app_json_invalid", f"app.json cannot be used: {what}.", hint=HINT)
