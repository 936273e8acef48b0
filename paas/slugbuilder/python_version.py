"""Which Python an app asks for, and whether the stack has it.

In: runtime.txt, .python-version.  Out: the version wanted and its file, or a BuildError saying what the stack has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .errors import BuildError

VERSION = re.compile(r"3\.(\d{1,3})(?:\.(\d{1,3}))?")


@dataclass(frozen=True)
class Wanted:
    """`version` is `X.Y` or `X.Y.Z`; `file` is where it was read."""

    version: str
    file: str

    @property
    def minor(self) -> str:
        return ".".join(self.version.split(".")[:2])


def wanted_python(app: Path) -> Wanted | None:
    """Read runtime.txt (old, wins, as at Heroku) or .python-version. None when neither says anything."""
    old = app / "runtime.txt"
    if old.is_file():
        return parse_runtime_txt(read_text(old))
    new = app / ".python-version"
    return parse_python_version(read_text(new)) if new.is_file() else None


def read_text(path: Path) -> str:
    return path.read_bytes().decode("utf-8-sig", "replace")


def parse_runtime_txt(text: str) -> Wanted | None:
    """`python-3.13.5` or `python-3.13`. A runtime.txt of another language is not ours to judge."""
    value = text.strip()
    if not value.startswith("python-"):
        raise invalid("runtime.txt", value, "python-3.13")
    return checked(value.removeprefix("python-"), "runtime.txt", value, "python-3.13")


def parse_python_version(text: str) -> Wanted | None:
    """The first line that is no comment: `3.13`, `3.13.5` (pyenv's `python-`/`cpython-` prefixes too)."""
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        return None
    if len(lines) > 1:
        message = f".python-version names {len(lines)} versions: {', '.join(lines[:4])}."
        raise BuildError("python_version_invalid", message, hint="Keep exactly one, for example 3.13.")
    return checked(re.sub(r"^c?python-", "", lines[0]), ".python-version", lines[0], "3.13")


def checked(version: str, file: str, shown: str, example: str) -> Wanted:
    if not VERSION.fullmatch(version):
        raise invalid(file, shown, example)
    return Wanted(version, file)


def invalid(file: str, value: str, example: str) -> BuildError:
    message = f"{file} holds {value[:60]!r}, which is no Python version."
    return BuildError("python_version_invalid", message, hint=f"Write one like {example}.")


def version_fits(wanted: str, have: str) -> bool:
    """True when major and minor agree; the patch level is the stack's (security fixes come with the stack)."""
    return wanted.split(".")[:2] == have.split(".")[:2]


def unsupported(wanted: Wanted, stack: str, have: str) -> BuildError:
    minor = ".".join(have.split(".")[:2])
    message = f"{wanted.file} asks for Python {wanted.version}, stack {stack} has {have}."
    value = f"python-{minor}" if wanted.file == "runtime.txt" else minor
    hint = f"Write {value} into {wanted.file} (or remove the file), or choose a stack with Python {wanted.minor}."
    return BuildError("python_version_unsupported", message, hint=hint)
