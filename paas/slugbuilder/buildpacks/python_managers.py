"""Which of Python's many ways to declare dependencies an app uses.

In: the names of the files in the root.  Out: one manager, and what to say about the others.
The order is the order of precedence; it is Heroku's, with files that fix versions before those that do not.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BuildError


@dataclass(frozen=True)
class Manager:
    """`file` is what the output names; `found` tells whether the app uses it."""

    name: str
    file: str
    found: Callable[[Path], bool]


def has(*names: str) -> Callable[[Path], bool]:
    return lambda app: all((app / name).is_file() for name in names)


def read_toml(path: Path, error_id: str = "pyproject_invalid") -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"{path.name} cannot be read."
        raise BuildError(
            error_id, message, details=(str(error),), hint="Correct it, commit and push again."
        ) from error


def pyproject_of(app: Path) -> dict[str, Any]:
    file = app / "pyproject.toml"
    return read_toml(file) if file.is_file() else {}


def is_project(app: Path) -> bool:
    """A pyproject.toml that only configures linters makes no Python app; a broken one is told by who reads it."""
    try:
        return "project" in pyproject_of(app)
    except BuildError:
        return True


def is_poetry(app: Path) -> bool:
    try:
        return "poetry" in pyproject_of(app).get("tool", {})
    except BuildError:
        return False


MANAGERS: tuple[Manager, ...] = (
    Manager("pipenv", "Pipfile.lock", has("Pipfile.lock")),
    Manager("pip", "requirements.txt", has("requirements.txt")),
    Manager("poetry", "poetry.lock", has("poetry.lock", "pyproject.toml")),
    Manager("uv", "uv.lock", has("uv.lock", "pyproject.toml")),
    Manager("pipenv", "Pipfile", has("Pipfile")),
    Manager("poetry", "pyproject.toml", is_poetry),
    Manager("project", "pyproject.toml", is_project),
    Manager("setup", "setup.py", has("setup.py")),
)
LOCKS_OF_PYPROJECT = ("uv.lock", "poetry.lock")


def managers(app: Path) -> list[Manager]:
    """Return all that the app has files for, the one to use first."""
    return [manager for manager in MANAGERS if manager.found(app)]


def choose_manager(app: Path) -> tuple[Manager, str]:
    """Return the manager and a warning about files that are left aside ('' when there are none)."""
    found = managers(app)
    if not found:
        alone = next((name for name in LOCKS_OF_PYPROJECT if (app / name).is_file()), "")
        raise BuildError(
            "python_packages_unsupported",
            f"{alone} is there without pyproject.toml." if alone else "Nothing says what to install.",
            hint="Commit pyproject.toml, too.",
        )
    chosen = found[0]
    files = {manager.file for manager in found[1:]} - {chosen.file, *beside(chosen)}
    others = [name for name in dict.fromkeys(manager.file for manager in MANAGERS) if name in files]
    if not others:
        return chosen, ""
    listed = " and ".join([", ".join(others[:-1]), others[-1]] if len(others) > 1 else others)
    return chosen, (
        f"{chosen.file} is used, {listed} {'are' if len(others) > 1 else 'is'} not: "
        "remove what is out of date, so that nobody changes the wrong file."
    )


def beside(manager: Manager) -> tuple[str, ...]:
    """Files that belong to a manager or may well stand beside it."""
    together = {"pipenv": ("Pipfile",), "poetry": ("pyproject.toml",), "uv": ("pyproject.toml",)}
    return (*together.get(manager.name, ()), "pyproject.toml", "setup.py")
