"""Environment variables that layers give, in a build and at launch.

In: files of `env`, `env.build` and `env.launch`.  Out: changes in order, and environments with them. `apply` is pure.
Specification: buildpack.md, "Environment Variable Modification Rules" and "Layer Paths".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
BUILD_PATHS = (
    ("PATH", "bin"),
    ("LD_LIBRARY_PATH", "lib"),
    ("LIBRARY_PATH", "lib"),
    ("CPATH", "include"),
    ("PKG_CONFIG_PATH", "pkgconfig"),
)
LAUNCH_PATHS = BUILD_PATHS[:2]
PATH_NAMES = frozenset(name for name, _ in BUILD_PATHS)


class Action(StrEnum):
    APPEND = "append"
    DEFAULT = "default"
    OVERRIDE = "override"
    PREPEND = "prepend"


@dataclass(frozen=True)
class Change:
    """One variable's change. `between` stands between the value and what was there."""

    name: str
    action: Action
    value: str
    between: str = ""


def apply(env: Mapping[str, str], changes: Iterable[Change]) -> dict[str, str]:
    """Return the environment after the changes, one after the other."""
    result = dict(env)
    for one in changes:
        result[one.name] = _changed(result.get(one.name, ""), one)
    return result


def _changed(old: str, change: Change) -> str:
    if change.action is Action.OVERRIDE:
        return change.value
    if change.action is Action.DEFAULT:
        return old or change.value
    if change.action is Action.PREPEND:
        return change.value + (change.between + old if old else "")
    return (old + change.between if old else "") + change.value


def path_changes(layers: Iterable[Path], kinds: Iterable[tuple[str, str]]) -> tuple[Change, ...]:
    """Folders of one buildpack's layers go before those of others, sorted among themselves."""
    found = sorted(layers)
    changes = []
    for name, folder in kinds:
        paths = [str(layer / folder) for layer in found if (layer / folder).is_dir()]
        if paths:
            changes.append(Change(name, Action.PREPEND, ":".join(paths), ":"))
    return tuple(changes)


def folder_changes(folder: Path) -> tuple[Change, ...]:
    """Return what the files of one env folder say. Names that no shell takes are left out."""
    files = sorted(one for one in folder.iterdir() if one.is_file()) if folder.is_dir() else []
    texts = {one.name: one.read_bytes().decode("utf-8", "surrogateescape") for one in files}
    found = []
    for file, value in texts.items():
        name, _, suffix = file.partition(".")
        if NAME.fullmatch(name) and "\0" not in value and suffix in ("", *Action):
            action = Action(suffix or "override")
            found.append(Change(name, action, value, texts.get(f"{name}.delim", "")))
    return tuple(found)


def with_users(env: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return what a buildpack sees with the app's own variables: they win, and go before in lists of folders."""
    changes = (
        Change(name, Action.PREPEND if name in PATH_NAMES else Action.OVERRIDE, value, ":")
        for name, value in given.items()
    )
    return apply(env, changes)
