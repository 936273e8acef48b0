"""What an app under tests/apps/ is expected to do.

In: `NAME.toml`.  Out: a frozen `Expectation`; ValueError names the key that cannot be read.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
WAYS = ("git", "zip")
RESULTS = ("ok", "failed", "refused")


@dataclass(frozen=True)
class Ask:
    """One request to the app and what its answer must hold. `headers` and `body` are matched by containment."""

    path: str
    status: int = 200
    body: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    send: str = ""
    send_headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Again:
    """A second push, after `write` has changed files (nothing: the same tree once more)."""

    write: Mapping[str, str] = field(default_factory=dict)
    output: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    http: tuple[Ask, ...] = ()


@dataclass(frozen=True)
class Expectation:
    """See README.md beside this file for what each key means."""

    name: str
    shows: str
    result: str = "ok"
    error: str = ""
    stack: str = "host"
    config: Mapping[str, str] = field(default_factory=dict)
    buildpacks: tuple[str, ...] = ()
    generate: str = ""
    by: str = "git"
    output: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    process_types: Mapping[str, str] = field(default_factory=dict)
    http: tuple[Ask, ...] = ()
    again: Again | None = None

    @property
    def tree(self) -> Path:
        return FOLDER / self.name


def expectations(folder: Path = FOLDER) -> list[Expectation]:
    """Read all of them, by name."""
    return [read_expectation(file) for file in sorted(folder.glob("*.toml"))]


def read_expectation(file: Path) -> Expectation:
    document = tomllib.loads(file.read_text(encoding="utf-8"))
    expected: Expectation = _filled(Expectation, {"name": file.stem, **document}, file.name)
    if expected.result not in RESULTS:
        raise ValueError(f"{file.name}: result is one of {', '.join(RESULTS)}")
    if expected.by not in WAYS:
        raise ValueError(f"{file.name}: by is one of {', '.join(WAYS)}")
    if (expected.result == "failed") != bool(expected.error):
        raise ValueError(f'{file.name}: error belongs to result = "failed", and only to that')
    if expected.result != "ok" and not expected.output:
        raise ValueError(f"{file.name}: say in output what the pusher reads")
    return expected


def _filled(kind: Callable[..., Any], document: Mapping[str, Any], where: str) -> Any:
    known = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(document) - known)
    if unknown:
        raise ValueError(f"{where}: unknown key {unknown[0]!r}; keys are {', '.join(sorted(known))}")
    return kind(**{key: _value(key, value, where) for key, value in document.items()})


def _value(key: str, value: Any, where: str) -> Any:
    if key == "http":
        return tuple(_filled(Ask, one, f"{where} http") for one in value)
    if key == "again":
        return _filled(Again, value, f"{where} again")
    if key == "body":
        return (value,) if isinstance(value, str) else tuple(value)
    return tuple(value) if isinstance(value, list) else value
