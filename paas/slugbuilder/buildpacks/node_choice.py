"""Which Node.js an app runs on.

In: package.json, .nvmrc, .node-version, what the stack has.  Out: a version, and where it lies ('' : the stack's).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..command import capture
from ..errors import BuildError
from ..node_version import parse_version, satisfies
from ..workspace import Workspace
from .node_tools import best_node, place_node

CODE_NAMES = {
    "argon": 4, "boron": 6, "carbon": 8, "dubnium": 10, "erbium": 12, "fermium": 14, "gallium": 16,
    "hydrogen": 18, "iron": 20, "jod": 22, "krypton": 24,
}  # fmt: skip
ANY = frozenset({"lts/*", "node", "stable", "latest", "current", "lts", "*", ""})
UNMAINTAINED_BELOW = 20
OLDEST = 8  # of older ones no package manager runs that this builder has


@dataclass(frozen=True)
class WantedNode:
    """`range_` is an npm version range; `shown` is what the file says."""

    range_: str
    shown: str
    file: str


@dataclass(frozen=True)
class ChosenNode:
    """`home` None: the stack's own."""

    version: str
    home: Path | None = None


def wanted_node(app: Path, package: Mapping[str, Any]) -> WantedNode | None:
    """engines.node, else .nvmrc, else .node-version. None when nobody says anything."""
    engine = package.get("engines", {}).get("node")
    if engine is not None:
        return WantedNode(str(engine), str(engine), "engines.node in package.json")
    for name in (".nvmrc", ".node-version"):
        file = app / name
        if file.is_file():
            return from_text(file.read_bytes().decode("utf-8-sig", "replace"), name)
    return None


def from_text(text: str, name: str) -> WantedNode | None:
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    value = next((line for line in lines if line), "")
    word = value.lower()
    if word in ANY:
        return None
    major = CODE_NAMES.get(word.removeprefix("lts/"))
    return WantedNode(str(major) if major else value, value, name)


def choose_node(work: Workspace, package: Mapping[str, Any], env: Mapping[str, str]) -> ChosenNode:
    """The stack's Node.js if it fits or if nobody asks; else the newest that fits, from the npm registry."""
    have = stack_version(work)
    wanted = wanted_node(work.app, package)
    if wanted is None or fits(wanted, have):
        work.output.info(f"Using Node.js {have} (stack {work.stack.name})")
        return ChosenNode(have)
    check_age(wanted, work.stack.name, have)
    version = best_node(work, wanted.range_, env)
    check_age(WantedNode(version, wanted.shown, wanted.file), work.stack.name, have)
    work.output.info(f"Using Node.js {version} ({wanted.file} asks for {wanted.shown})")
    if parse_version(version)[0] < UNMAINTAINED_BELOW:
        work.output.warn(
            f"Node.js {version} gets no security fixes any more; move to {have.partition('.')[0]}.x or newer."
        )
    return ChosenNode(version, place_node(work, version, env))


def stack_version(work: Workspace) -> str:
    """`20.19.2`, asked from the stack."""
    version = capture([str(work.stack.node), "--version"], work.env).removeprefix("v")
    if not version:
        message = f"Stack {work.stack.name} has no Node.js ({work.stack.node} does not run)."
        raise BuildError("node_missing", message, hint="Choose a stack with Node.js, such as debian-13.")
    return version


def fits(wanted: WantedNode, have: str) -> bool:
    try:
        return satisfies(parse_version(have), wanted.range_)
    except ValueError as error:
        message = f"{wanted.file} is {wanted.shown!r}, which is no version range."
        hint = f'Write "{have.partition(".")[0]}.x", or another range of versions.'
        raise BuildError("node_version_invalid", message, hint=hint) from error


def check_age(wanted: WantedNode, stack: str, have: str) -> None:
    """Refuse what is older than anything that works here."""
    number = re.match(r"[\^~v=\s]*(\d+)", wanted.range_)
    if number is None or int(number[1]) >= OLDEST:
        return
    raise BuildError(
        "node_version_unsupported",
        f"{wanted.file} asks for Node.js {wanted.shown}; there is {have} on stack {stack}, "
        f"and from {OLDEST} on whatever the npm registry has.",
        hint=f'Write "node": "{have.partition(".")[0]}.x" into engines, and try the app with it.',
    )
