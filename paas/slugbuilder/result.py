"""`result.json`: what the controller learns from a build.

In: what the pipeline found.  Out: one JSON document, also when the build failed (then `error` is set).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class UsedBuildpack:
    name: str
    version: str


@dataclass(frozen=True)
class Failure:
    """`id` is stable, `message` one sentence, `details` the cause, `hint` the next step."""

    id: str
    message: str
    details: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True)
class Result:
    """`process_types` maps type to command; `launch` is the program that takes such a command as its one argument;
    `dependencies` are folders of the app, relative, that hold nothing of its own;
    `config_defaults` are environment variables that config vars override;
    `health_checks` maps type to an HTTP check; `declared` is what else app.json asks for;
    `size` is the unpacked app in bytes;
    `timings` are seconds per step."""

    stack: str
    process_types: dict[str, str] = field(default_factory=dict)
    buildpacks: tuple[UsedBuildpack, ...] = ()
    python: str = ""
    node: str = ""
    dependencies: tuple[str, ...] = ()
    launch: str = "/app/.paas/launch"
    config_defaults: dict[str, str] = field(default_factory=dict)
    health_checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    declared: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    files: int = 0
    size: int = 0
    timings: dict[str, float] = field(default_factory=dict)
    error: Failure | None = None


def write_result(path: Path, result: Result) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
