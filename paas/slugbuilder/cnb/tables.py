"""TOML that buildpacks and apps wrote, read with its types checked.

In: bytes and the name by which people know the file.  Out: tables, or a BuildError naming file and key. Pure.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BuildError

MOST_BYTES = 4 * 1024**2


@dataclass(frozen=True)
class Table:
    """One table of a file; `where` names both."""

    values: Mapping[str, Any]
    where: str

    def text(self, key: str, default: str = "") -> str:
        value = self.values.get(key, default)
        if not isinstance(value, str):
            raise invalid(self.where, f"`{key}` is no string")
        return value

    def flag(self, key: str) -> bool:
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise invalid(self.where, f"`{key}` is neither true nor false")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise invalid(self.where, f"`{key}` is no list of strings")
        return tuple(value)

    def table(self, *keys: str) -> Table:
        """Return the table below these keys; an empty one when it is not there."""
        found = self
        for key in keys:
            value = found.values.get(key, {})
            if not isinstance(value, dict):
                raise invalid(found.where, f"`{key}` is no table")
            found = Table(value, f"{self.where}, [{'.'.join(keys)}]")
        return found

    def tables(self, key: str) -> tuple[Table, ...]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise invalid(self.where, f"`{key}` is no array of tables: write it as [[{key}]]")
        return tuple(Table(one, f"{self.where}, [[{key}]] {at}") for at, one in enumerate(value, 1))


def invalid(where: str, why: str) -> BuildError:
    return BuildError("cnb_invalid", f"{where}: {why}.", hint="Correct the file, and push again.")


def parse_table(data: bytes, where: str) -> Table:
    """Raises BuildError with the parser's own words, which name the line."""
    if len(data) > MOST_BYTES:
        raise invalid(where, f"it is larger than {MOST_BYTES // 1024**2} MB")
    try:
        return Table(tomllib.loads(data.decode("utf-8-sig")), where)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(where, f"it cannot be read: {error}") from error


def read_table(path: Path, where: str) -> Table:
    """Return what a file says; an empty table when there is none."""
    if not path.is_file():
        return Table({}, where)
    with path.open("rb") as file:
        return parse_table(file.read(MOST_BYTES + 1), where)
