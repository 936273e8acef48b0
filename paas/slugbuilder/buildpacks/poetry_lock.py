"""Poetry's lock file as requirements.

In: pyproject.toml and poetry.lock (Poetry 1 and 2).  Out: lines of a requirements file with hashes, of the main group.

Poetry itself is not run: it asks an index for more than the index protocol has, which mirrors do not answer, and it
would be a second installer with other settings. What it locked, uv installs; the hashes see to it that it is the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import BuildError
from .pipfile import Requirements, local, normal
from .python_managers import pyproject_of, read_toml

Package = Mapping[str, Any]
LEGACY_KEYS = ("dependencies", "source", "extras", "dev-dependencies")
PROJECT_KEYS = ("requires-python", "dependencies", "optional-dependencies")
MOVING = frozenset({"git", "directory", "file", "url"})
Reached = dict[str, set[tuple[str, ...]]]


def read_poetry_lock(app: Path, env: Mapping[str, str]) -> tuple[Requirements, bool]:
    """Return the requirements, and whether the lock still fits pyproject.toml by its own hash."""
    lock = read_toml(app / "poetry.lock", "requirements_invalid")
    project = pyproject_of(app)
    packages: list[Package] = lock.get("package", [])
    check_agreement(project, packages)
    main = list(main_packages(project, packages))
    lines = tuple(
        dict.fromkeys([*index_lines(packages, env), *(line(package, marker) for package, marker in main)])
    )
    fixed = not any(package.get("source", {}).get("type") in MOVING for package, _ in main)
    known = lock.get("metadata", {}).get("content-hash", "")
    return Requirements(lines, fixed), not known or known == content_hash(project)


def declared_names(project: Mapping[str, Any]) -> list[str]:
    """Names of the main dependencies, in both places that Poetry reads."""
    poetry = project.get("tool", {}).get("poetry", {}).get("dependencies", {})
    return [
        *poetry_names(poetry),
        *(requirement_name(one) for one in project.get("project", {}).get("dependencies", [])),
    ]


def poetry_names(declared: Mapping[str, Any]) -> list[str]:
    """Without Python itself and without what only an extra brings."""
    optional = {name for name, value in declared.items() if isinstance(value, dict) and value.get("optional")}
    return [name for name in declared if name != "python" and name not in optional]


def requirement_name(text: str) -> str:
    cut = min((text.index(mark) for mark in " [<>=!~;@(" if mark in text), default=len(text))
    return text[:cut]


def check_agreement(project: Mapping[str, Any], packages: list[Package]) -> None:
    have = {normal(package["name"]) for package in packages}
    missing = [name for name in declared_names(project) if normal(name) not in have]
    if missing:
        message = f"poetry.lock does not match pyproject.toml: {', '.join(missing[:5])} is not in it."
        hint = "Run `poetry lock`, commit poetry.lock and push again."
        raise BuildError("lock_outdated", message, hint=hint)


def main_packages(project: Mapping[str, Any], packages: list[Package]) -> Iterator[tuple[Package, str]]:
    """Yield what the main group needs, each with its marker."""
    if all("groups" in package for package in packages):
        for package in packages:
            if "main" in package["groups"] and not package.get("optional"):
                marker = package.get("markers", "")
                yield package, marker.get("main", "") if isinstance(marker, dict) else marker
        return
    reached = reachable(project, packages)
    for package in packages:
        ways = reached.get(normal(package["name"]))
        if ways:
            yield package, any_of(ways)


def any_of(ways: set[tuple[str, ...]]) -> str:
    """Join ways to a package: one without a condition makes all others pointless."""
    if () in ways:
        return ""
    joined = sorted(" and ".join(f"({marker})" for marker in way) for way in ways)
    return " or ".join(f"({one})" for one in joined)


def reachable(project: Mapping[str, Any], packages: list[Package]) -> Reached:
    """Walk from the declared dependencies: older locks do not say which group a package belongs to."""
    by_name: dict[str, list[Package]] = {}
    for package in packages:
        by_name.setdefault(normal(package["name"]), []).append(package)
    found: Reached = {}
    poetry = project.get("tool", {}).get("poetry", {}).get("dependencies", {})
    queue: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []
    for name in declared_names(project):
        queue += [(normal(name), *way) for way in ways_of(poetry.get(name, "*"), ())]
    while queue:
        name, way, extras = queue.pop()
        known = found.setdefault(name, set())
        if (way in known or () in known) and not extras:
            continue
        known.add(way)
        for package in by_name.get(name, []):
            queue += [(child, *more) for child, more in children(package, way, extras)]
    return found


def children(
    package: Package, way: tuple[str, ...], extras: tuple[str, ...]
) -> Iterator[tuple[str, tuple[tuple[str, ...], tuple[str, ...]]]]:
    """Yield what a package needs; optional ones only when an asked-for extra names them."""
    wanted = {
        normal(requirement_name(one)) for extra in extras for one in package.get("extras", {}).get(extra, ())
    }
    for name, value in package.get("dependencies", {}).items():
        values = value if isinstance(value, list) else [value]
        for one in values:
            optional = isinstance(one, dict) and one.get("optional")
            if not optional or normal(name) in wanted:
                for more in ways_of(one, way):
                    yield normal(name), more


def ways_of(value: Any, way: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield (conditions, extras) of one declaration. An `extra ==` marker has been answered by then."""
    for one in value if isinstance(value, list) else [value]:
        entry = one if isinstance(one, dict) else {}
        marker = entry.get("markers", "")
        more = (marker,) if marker and "extra ==" not in marker and marker not in way else ()
        yield (*way, *more), tuple(entry.get("extras", ()))


def line(package: Package, marker: str) -> str:
    name, source = package["name"], package.get("source", {})
    condition = f" ; {marker}" if marker else ""
    kind = source.get("type")
    if kind == "git":
        return f"{name} @ git+{source['url']}@{source.get('resolved_reference') or source['reference']}{condition}"
    if kind == "directory":
        return f"{'-e ' if package.get('develop') else ''}{local(source['url'])}{condition}"
    if kind in ("file", "url"):
        return f"{local(source['url']) if kind == 'file' else f'{name} @ ' + source['url']}{condition}"
    hashes = "".join(f" --hash={one['hash']}" for one in package.get("files", ()))
    return f"{name}=={package['version']}{condition}{hashes}"


def index_lines(packages: list[Package], env: Mapping[str, str]) -> list[str]:
    """Further indexes, with the credentials that Poetry reads from the environment."""
    sources = {
        (package["source"]["reference"], package["source"]["url"])
        for package in packages
        if package.get("source", {}).get("type") == "legacy"
    }
    return [f"--extra-index-url {with_credentials(name, url, env)}" for name, url in sorted(sources)]


def with_credentials(name: str, url: str, env: Mapping[str, str]) -> str:
    prefix = "POETRY_HTTP_BASIC_" + name.upper().replace("-", "_")
    user, word = env.get(f"{prefix}_USERNAME", ""), env.get(f"{prefix}_PASSWORD", "")
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{user}:{word}@{rest}" if user and "@" not in rest else url


def content_hash(project: Mapping[str, Any]) -> str:
    """Poetry's hash over what decides a lock (poetry/packages/locker.py)."""
    declared = project.get("project", {})
    relevant = {key: declared[key] for key in PROJECT_KEYS if key in declared}
    poetry = project.get("tool", {}).get("poetry", {})
    of_poetry = {key: poetry[key] for key in (*LEGACY_KEYS, "group") if key in poetry}
    if relevant:
        content: Mapping[str, Any] = {"project": relevant, "tool": {"poetry": of_poetry}}
    else:
        content = {key: poetry.get(key) for key in LEGACY_KEYS} | of_poetry
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
