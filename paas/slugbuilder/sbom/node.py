"""Node.js packages, from what lies in `node_modules`.

In: a tree.  Out: components of each installed package, nested ones too.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from .component import Component, component
from .reading import read_object

PLACES = ("node_modules", "*/node_modules", "*/*/node_modules", "node_modules/.pnpm/*/node_modules")
MOST = 50_000  # packages; a tree of links must not go on for ever


def node_packages(app: Path) -> Iterator[Component]:
    """Yield the packages in the app's `node_modules`, in those of its workspaces and in pnpm's store."""
    packages = (package for place in PLACES for modules in app.glob(place) for package in _nested(modules))
    for package in islice(packages, MOST):
        found = _read(package)
        if found:
            yield found


def _nested(modules: Path) -> Iterator[Path]:
    """Yield the packages of a folder and those that they keep for themselves; links lead to what is found elsewhere."""
    for package in _packages(modules):
        if not package.is_symlink():
            yield package
            yield from _nested(package / "node_modules")


def _packages(modules: Path) -> Iterator[Path]:
    for entry in sorted(modules.iterdir()) if modules.is_dir() else ():
        if entry.name.startswith("@") and entry.is_dir():
            yield from sorted(one for one in entry.iterdir() if (one / "package.json").is_file())
        elif (entry / "package.json").is_file():
            yield entry


def _read(package: Path) -> Component | None:
    described = read_object(package / "package.json")
    name = described.get("name")
    if not isinstance(name, str):
        return None
    scope, _, short = name.rpartition("/")
    return component("npm", short, described.get("version"), _license(described), scope)


def _license(described: dict[str, Any]) -> object:
    """A text today; an object, or a list of them, in old packages."""
    license = described.get("license") or described.get("licenses")
    one = license[0] if isinstance(license, list) and license else license
    return one.get("type", "") if isinstance(one, dict) else one
