"""What the app's own files say about it: Procfile, app.json, CHECKS. Read before anything is installed, so that a
mistake is told at once.

In: the unpacked source, the app's config vars.  Out: values for `result.json`; warnings on the output.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .app_json import parse_health_checks
from .checks_file import parse_checks
from .declared import FILE, Declared, Variable, parse_declared
from .errors import BuildError
from .procfile import parse_procfile
from .workspace import Workspace


@dataclass(frozen=True)
class Said:
    """`checks` by process type; `declared` is the rest of app.json."""

    processes: dict[str, str] = field(default_factory=dict)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    declared: Declared = field(default_factory=Declared)


def read_declarations(work: Workspace) -> Said:
    """Raises BuildError for what cannot be used, or for a config var that must be there and is not."""
    said = read_app_json(work, work.app)
    return replace(said, processes=parse_procfile(_bytes(work.app / "Procfile") or b""))


def read_app_json(work: Workspace, source: Path) -> Said:
    """What app.json and CHECKS of a source say, without process types. Raises BuildError like the whole."""
    declared = Declared()
    checks: dict[str, dict[str, Any]] = {}
    if (data := _bytes(source / FILE)) is not None:
        checks, declared = parse_health_checks(data), parse_declared(data)
        check_required(declared.env, work.config)
        _tell(work, declared)
    return Said({}, _with_checks_file(work, source, checks), declared)


def _bytes(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _with_checks_file(
    work: Workspace, source: Path, checks: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    data = _bytes(source / "CHECKS")
    if data is None:
        return checks
    if "web" in checks:
        work.output.warn("CHECKS has no effect: app.json has a health check of web.")
        return checks
    found = parse_checks(data)
    for sentence in found.warnings:
        work.output.warn(sentence)
    return {**checks, "web": found.check} if found.check else checks


def check_required(env: Iterable[Variable], config: Any) -> None:
    """Raise BuildError with all that app.json requires and nobody has set."""
    missing = [one for one in env if one.required and one.name not in config]
    if not missing:
        return
    lines = tuple(f"{one.name}: {one.description}" if one.description else one.name for one in missing)
    words = " ".join(f"{one.name}=…" for one in missing[:5])
    raise BuildError(
        "config_missing",
        f"app.json requires {'a config var that is' if len(missing) == 1 else 'config vars that are'} not set.",
        details=lines,
        hint=f"Set them and push again: paas config:set {words}",
    )


def _tell(work: Workspace, declared: Declared) -> None:
    for name in declared.addons:
        work.output.info(
            f"app.json asks for the add-on {name}: there are no add-ons here, set its config vars"
        )
    if declared.stack and declared.stack != work.stack.name:
        work.output.info(f"app.json names the stack {declared.stack}; the app is built on {work.stack.name}")


def tell_unknown_types(work: Workspace, declared: Declared, types: Iterable[str]) -> None:
    for name in sorted(set(declared.formation) - set(types)):
        work.output.warn(f"app.json: `formation` names {name}, which is no process type of this app.")


def for_controller(declared: Declared) -> dict[str, Any]:
    """The part that is applied outside the build."""
    cron = [asdict(one) for one in declared.cron]
    parts = {"formation": dict(declared.formation), "scripts": dict(declared.scripts), "cron": cron}
    return {name: part for name, part in parts.items() if part}
