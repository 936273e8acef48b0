"""Pipenv's files as requirements.

In: Pipfile.lock (JSON) or Pipfile (TOML).  Out: lines of a requirements file with hashes, and the index URLs.
Format: https://pipenv.pypa.io/en/latest/pipfile.html
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BuildError
from .python_managers import read_toml

VCS = ("git", "hg", "svn", "bzr")
PYPI = "https://pypi.org/simple"


@dataclass(frozen=True)
class Requirements:
    """`fixed`: nothing in it points at the tree or at a repository, so it can be a cache key."""

    lines: tuple[str, ...]
    fixed: bool


def read_lock(app: Path, env: Mapping[str, str]) -> Requirements:
    """Turn the default section of Pipfile.lock into requirements. Raises BuildError when it lacks something."""
    document = load_lock(app / "Pipfile.lock")
    packages = document.get("default", {})
    check_agreement(app, packages)
    return requirements(packages, document.get("_meta", {}).get("sources", []), env)


def read_pipfile(app: Path, env: Mapping[str, str]) -> Requirements:
    document = read_toml(app / "Pipfile", "requirements_invalid")
    return requirements(document.get("packages", {}), document.get("source", []), env)


def load_lock(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_bytes().decode("utf-8-sig"))
        document["default"] = dict(document.get("default", {}))
    except (ValueError, UnicodeDecodeError, AttributeError, TypeError) as error:
        hint = "Run `pipenv lock`, commit Pipfile.lock and push again. Merge conflicts are resolved the same way."
        raise BuildError(
            "requirements_invalid", "Pipfile.lock cannot be read.", details=(str(error),), hint=hint
        ) from error
    return dict(document)


def check_agreement(app: Path, locked: Mapping[str, Any]) -> None:
    """A lock that lacks a package of the Pipfile is older than it."""
    if not (app / "Pipfile").is_file():
        return
    declared = read_toml(app / "Pipfile", "requirements_invalid").get("packages", {})
    have = {normal(name) for name in locked}
    missing = [name for name in declared if normal(name) not in have]
    if missing:
        message = f"Pipfile.lock does not match Pipfile: {', '.join(missing[:5])} is not in it."
        hint = "Run `pipenv lock`, commit Pipfile.lock and push again."
        raise BuildError("lock_outdated", message, hint=hint)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()


def requirements(
    packages: Mapping[str, Any], sources: list[Mapping[str, Any]], env: Mapping[str, str]
) -> Requirements:
    entries = [one_requirement(name, value) for name, value in packages.items()]
    lines = tuple(line for line, _ in entries)
    return Requirements(index_lines(sources, env) + lines, all(fixed for _, fixed in entries))


def index_lines(sources: list[Mapping[str, Any]], env: Mapping[str, str]) -> tuple[str, ...]:
    """The first source is the default index unless a config var already names one."""
    urls = [expanded(str(source.get("url", "")), env) for source in sources]
    if urls[:1] == [PYPI]:
        return tuple(f"--extra-index-url {url}" for url in urls[1:])
    first = () if env.get("PIP_INDEX_URL") or env.get("UV_DEFAULT_INDEX") else ("--index-url",)
    options = (*first, *("--extra-index-url" for _ in urls[1:]))
    return tuple(f"{option} {url}" for option, url in zip(options, urls[1 - len(first) :], strict=False))


def expanded(url: str, env: Mapping[str, str]) -> str:
    """`${NAME}` in a URL, as Pipenv does; an unset one stays, so that the error shows it."""
    return re.sub(r"\$\{?(\w+)\}?", lambda found: env.get(found[1], found[0]), os.fspath(url))


def one_requirement(name: str, value: Any) -> tuple[str, bool]:
    """Return one line and whether it fixes what is installed."""
    entry = {"version": value} if isinstance(value, str) else dict(value)
    extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
    marker = f" ; {entry['markers']}" if entry.get("markers") else ""
    vcs = next((kind for kind in VCS if entry.get(kind)), "")
    if vcs:
        ref = f"@{entry['ref']}" if entry.get("ref") else ""
        place = f"#subdirectory={entry['subdirectory']}" if entry.get("subdirectory") else ""
        return f"{name}{extras} @ {vcs}+{entry[vcs]}{ref}{place}{marker}", False
    if entry.get("path"):
        return f"{'-e ' if entry.get('editable') else ''}{local(entry['path'])}{extras}{marker}", False
    if entry.get("file"):
        return f"{name}{extras} @ {entry['file']}{marker}", False
    version = str(entry.get("version", "*"))
    hashes = "".join(f" --hash={one}" for one in entry.get("hashes", ()))
    return f"{name}{extras}{'' if version == '*' else version}{marker}{hashes}", True


def local(path: str) -> str:
    return path if path.startswith((".", "/")) else f"./{path}"
