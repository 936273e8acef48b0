"""The Procfile: process types and their commands.

In: the file's bytes.  Out: `{type: command}` in file order, or a BuildError naming the line.
"""

from __future__ import annotations

import re

from .errors import BuildError

TYPE = re.compile(r"[A-Za-z0-9_-]{1,63}")
CONFLICT = re.compile(r"(<{7}|={7}|>{7}|\|{7})( |$)")
HINT = "Each line of a Procfile is `type: command`, for example `web: gunicorn app:app`."


def parse_procfile(data: bytes) -> dict[str, str]:
    """Read a Procfile (UTF-8, BOM and CRLF tolerated, blank lines and `#` comments skipped)."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"Procfile is not UTF-8 text (byte {error.start})."
        raise BuildError("procfile_invalid", message, hint="Save it as UTF-8 and push again.") from error
    types: dict[str, str] = {}
    seen: dict[str, int] = {}
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        entry = parse_line(number, line.strip())
        if entry is None:
            continue
        name, command = entry
        if name in seen:
            message = (
                f"Procfile line {number}: process type {name!r} is already defined in line {seen[name]}."
            )
            raise BuildError("procfile_duplicate", message, hint="Keep one of the two lines.")
        seen[name] = number
        types[name] = command
    return types


def parse_line(number: int, line: str) -> tuple[str, str] | None:
    """Return (type, command) of one stripped line, None for a blank line or a comment."""
    if CONFLICT.match(line):
        message = f"Procfile line {number}: merge conflict marker {line.split()[0]!r}."
        raise BuildError("procfile_conflict", message, hint="Resolve the conflict, commit and push again.")
    if not line or line.startswith("#"):
        return None
    name, colon, command = (part.strip() for part in line.partition(":"))
    if not colon:
        raise BuildError(
            "procfile_invalid", f"Procfile line {number} has no colon: {line[:80]!r}.", hint=HINT
        )
    if not TYPE.fullmatch(name):
        message = (
            f"Procfile line {number}: {name[:80]!r} is no valid process type "
            "(1 to 63 letters, digits, underscores and hyphens)."
        )
        raise BuildError("procfile_invalid", message, hint=HINT)
    if not command:
        raise BuildError("procfile_invalid", f"Procfile line {number}: {name!r} has no command.", hint=HINT)
    if "\0" in command:
        raise BuildError("procfile_invalid", f"Procfile line {number}: {name!r} holds a NUL byte.", hint=HINT)
    return name, command
