"""Staticfile: how a static site wants to be served.

In: the file's text, the source tree.  Out: a frozen `Site`, or a BuildError naming the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .errors import BuildError

ON = {"enabled", "true", "yes", "on", "1"}
OFF = {"disabled", "false", "no", "off", "0", ""}
KNOWN = ("root", "pushstate")


@dataclass(frozen=True)
class Site:
    """`root` is relative to the app (`.` or a folder); `spa` answers unknown paths with index.html."""

    root: str = "."
    spa: bool = False


def read_site(app: Path, root: str = "", *, spa: bool = False) -> tuple[Site, tuple[str, ...]]:
    """Return the site and warnings. Without `root:` it is `root`, or public/ if only that has an index.html."""
    file = app / "Staticfile"
    settings, warnings = (
        parse_staticfile(file.read_bytes().decode("utf-8-sig", "replace")) if file.is_file() else ({}, ())
    )
    default = (
        "public" if not (app / "index.html").is_file() and (app / "public/index.html").is_file() else "."
    )
    place = checked_root(app, settings.get("root", root or default))
    return Site(place, spa or settings.get("pushstate", "") in ON), warnings


def parse_staticfile(text: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """`key: value` lines (a subset of YAML, `#` comments). Unknown keys are told, not refused."""
    settings: dict[str, str] = {}
    warnings: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.partition("#")[0].strip()
        if not line or line == "---":
            continue
        key, colon, value = (part.strip() for part in line.partition(":"))
        value = value.strip("'\"")
        if not colon or (key == "pushstate" and value.lower() not in ON | OFF):
            message = f"Staticfile line {number} cannot be read: {line[:80]!r}."
            raise BuildError(
                "staticfile_invalid", message, hint="Known lines are `root: FOLDER` and `pushstate: enabled`."
            )
        if key in KNOWN:
            settings[key] = value.lower() if key == "pushstate" else value
        else:
            warnings.append(f"Staticfile line {number}: {key!r} is not known and has no effect.")
    return settings, tuple(warnings)


def checked_root(app: Path, root: str) -> str:
    folder = (app / root).resolve()
    if not folder.is_relative_to(app.resolve()) or not folder.is_dir():
        message = f"Staticfile names the root {root!r}, which is no folder of the app."
        raise BuildError("staticfile_invalid", message, hint="Correct `root:`, commit and push again.")
    relative = folder.relative_to(app.resolve()).as_posix()
    if any(part.startswith(".") for part in relative.split("/") if part != "."):
        raise BuildError(
            "staticfile_invalid", f"The root {root!r} is hidden; hidden folders are never served."
        )
    return relative
