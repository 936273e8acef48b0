"""Which Python an app asks for, and whether the stack has it.

In: runtime.txt, .python-version, Pipfile.  Out: the version wanted and its file, or a BuildError that says what the
stack has.
"""

from __future__ import annotations

import re
import tomllib
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
    """Read runtime.txt (old, wins, as at Heroku), .python-version or Pipfile. None when none says anything."""
    old = app / "runtime.txt"
    if old.is_file():
        return parse_runtime_txt(read_text(old))
    new = app / ".python-version"
    if new.is_file():
        return parse_python_version(read_text(new))
    return pipfile_python(app / "Pipfile") if (app / "Pipfile").is_file() else None


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


def pipfile_python(file: Path) -> Wanted | None:
    """`python_full_version` or `python_version` of Pipfile's [requires]; a broken file is told by who installs it."""
    try:
        requires = tomllib.loads(read_text(file)).get("requires", {})
    except tomllib.TOMLDecodeError:
        return None
    version = requires.get("python_full_version") or requires.get("python_version")
    return checked(str(version), "Pipfile", str(version), "3.13") if version and version != "3" else None


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


def unsupported(wanted: Wanted, stack: str, have: str, others: tuple[str, ...] = ()) -> BuildError:
    """`others`: further Pythons of the stack. Only what a stack ships can be used: nothing is downloaded."""
    minor = ".".join(have.split(".")[:2])
    beside = [version for version in others if not version_fits(version, have)]
    also = f" and {', '.join(beside)}" if beside else ""
    message = f"{wanted.file} asks for Python {wanted.version}, stack {stack} has {have}{also}."
    value = f"python-{minor}" if wanted.file == "runtime.txt" else minor
    hint = (
        f"Write {value} into {wanted.file} (or remove the file), or choose a stack with Python {wanted.minor}. "
        "No Python is downloaded: the operator of the platform adds stacks."
    )
    return BuildError("python_version_unsupported", message, hint=hint)
