"""A network as its operator wrote it down for CNI: a list of plugins that run one after the other.

In: a directory of *.conflist, *.conf and *.json files.  Out: a `Chain`, or ValueError that says what is wrong.
Format: the CNI specification, 0.4 and 1.0, section 1.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from runtime.model import Struct

VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
_SUFFIXES = (".conflist", ".conf", ".json")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")


class Chain(Struct):
    """A network's `name`, the version its plugins are spoken to in, and their configurations in the order of ADD."""

    name: str
    version: str
    plugins: tuple[dict[str, Any], ...]
    disable_check: bool = False

    @property
    def types(self) -> tuple[str, ...]:
        """The program of each plugin, and those of its address management."""
        words: list[str] = []
        for plugin in self.plugins:
            words.append(plugin["type"])
            ipam = plugin.get("ipam")
            if isinstance(ipam, dict) and ipam.get("type"):
                words.append(ipam["type"])
        return tuple(words)


def find(directory: Path, name: str) -> Chain:
    """Return the network of that name; the first file by name counts. Raises ValueError."""
    seen = []
    for file in sorted(directory.glob("*")):
        if file.suffix in _SUFFIXES:
            chain = read(file)
            if name in (chain.name, file.name.removesuffix(file.suffix)):
                return chain
            seen.append(chain.name)
    there = ", ".join(seen) or "none"
    raise ValueError(f"{directory} has no CNI network {name!r}; it has: {there}.")


def read(file: Path) -> Chain:
    """Read one file: a list of plugins, or a single one. Raises ValueError naming the file."""
    try:
        return parse(json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{file} is no CNI network: {error}") from error


def parse(document: Any) -> Chain:
    """Read a network. A file that is not a list is a list of one."""
    if not isinstance(document, dict):
        raise ValueError("it is not an object.")  # noqa: TRY004 - the file is wrong, not the caller
    plugins = document.get("plugins", [document])
    name, version = document.get("name"), document.get("cniVersion", "0.3.1")
    if not isinstance(name, str) or not _NAME.match(name):
        raise ValueError(f"its name {name!r} must be letters, digits, '.', '_' and '-'.")
    if version not in VERSIONS:
        raise ValueError(f"its cniVersion {version!r} is none of {', '.join(VERSIONS)}.")
    if not isinstance(plugins, list) or not plugins:
        raise ValueError("it names no plugins.")
    for plugin in plugins:
        kind = plugin.get("type") if isinstance(plugin, dict) else None
        if not isinstance(kind, str) or not kind or "/" in kind:
            raise ValueError(f"{kind!r} is not the type of a plugin.")
    return Chain(
        name=name,
        version=version,
        plugins=tuple(plugins),
        disable_check=bool(document.get("disableCheck", False)),
    )
