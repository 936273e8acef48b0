"""Which package manager a Node app uses, and how it is told to do things.

In: package.json and the names of lock files.  Out: one `Manager` with its argument lists, or a BuildError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BuildError

LOCKS = {
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
    "yarn.lock": "yarn",
    "pnpm-lock.yaml": "pnpm",
}
OTHERS = ("bun.lockb", "bun.lock")
PINNED = re.compile(r"(npm|yarn|pnpm|bun)@(\d+\.\d+\.\d+[\w.-]*)(?:\+\w+\.\w+)?")
PNPM_OF_LOCK = {"5": "7.33.7", "6": "8.15.9", "9": "9.15.9"}  # what wrote which lock
YARN_1, YARN_BERRY = "1.22.22", "4.9.2"


@dataclass(frozen=True)
class Manager:
    """`kind`: npm, yarn, berry or pnpm. `tool` is the npm package to fetch ('' : the one beside Node.js); `lock` ''
    when there is none. `pnp`: Yarn keeps packages as archives and writes no node_modules."""

    kind: str
    tool: str = ""
    lock: str = ""
    pnp: bool = False

    @property
    def program(self) -> str:
        return "yarn" if self.kind == "berry" else self.kind

    def install(self, *, with_dev: bool) -> tuple[str, ...]:
        """Install exactly what is locked; without a lock what fits."""
        if self.kind == "npm":
            own = () if self.lock else ("--no-package-lock",)
            return (
                "npm",
                "ci" if self.lock else "install",
                "--include=dev" if with_dev else "--omit=dev",
                *own,
            )
        if self.kind == "yarn":
            frozen = ("--frozen-lockfile",) if self.lock else ("--no-lockfile",)
            production = "false" if with_dev else "true"
            return ("yarn", "install", "--non-interactive", *frozen, f"--production={production}")
        if self.kind == "berry":
            return ("yarn", "install", "--immutable")
        dev = "--prod=false" if with_dev else "--prod"
        return ("pnpm", "install", "--frozen-lockfile" if self.lock else "--no-frozen-lockfile", dev)

    def prune(self) -> tuple[str, ...]:
        """Remove what only development needs; no script runs."""
        return {
            "npm": ("npm", "prune", "--omit=dev", "--no-package-lock", "--ignore-scripts"),
            "yarn": (
                "yarn",
                "install",
                "--production",
                "--ignore-scripts",
                "--prefer-offline",
                "--non-interactive",
            ),
            "berry": ("yarn", "workspaces", "focus", "--all", "--production"),
            "pnpm": (
                "pnpm",
                "install",
                "--prod",
                "--prefer-offline",
                "--ignore-scripts",
                "--config.confirmModulesPurge=false",
            ),
        }[self.kind]

    def run(self, script: str) -> tuple[str, ...]:
        return (self.program, "run", script)


def choose_manager(app: Path, package: Mapping[str, Any]) -> tuple[Manager, str]:
    """Return the manager and a warning ('' for none). package.json's own word decides between lock files."""
    locks = [name for name in LOCKS if (app / name).is_file()]
    pinned = pinned_manager(package)
    kinds = list(dict.fromkeys(LOCKS[name] for name in locks))
    if pinned is None and len(kinds) > 1:
        raise BuildError(
            "lock_files_conflict",
            f"There are lock files of different package managers: {' and '.join(locks)}.",
            hint='Delete all but the one that you use (`git rm`), or name it: "packageManager": "pnpm@9.15.9".',
        )
    kind = pinned[0] if pinned else kinds[0] if kinds else "npm"
    lock = next((name for name in locks if LOCKS[name] == kind), "")
    aside = [name for name in (*locks, *(one for one in OTHERS if (app / one).is_file())) if name != lock]
    manager = made(app, package, kind, pinned[1] if pinned else "", lock)
    return manager, lock_warning(manager, aside)


def pinned_manager(package: Mapping[str, Any]) -> tuple[str, str] | None:
    """`packageManager` as Corepack reads it."""
    value = package.get("packageManager")
    if value is None:
        return None
    found = PINNED.fullmatch(str(value))
    if found is None or found[1] == "bun":
        message = f"packageManager in package.json is {str(value)[:60]!r}."
        hint = "Write npm, yarn or pnpm with an exact version, such as pnpm@9.15.9."
        raise BuildError("package_json_invalid", message, hint=hint)
    return found[1], found[2]


def lock_warning(manager: Manager, aside: list[str]) -> str:
    """What to say about lock files that are absent or not read."""
    if manager.lock and aside:
        return f"{manager.lock} is used, {' and '.join(aside)} is not: delete it."
    if manager.lock:
        return ""
    reason = f"{aside[0]} is not read" if aside else "there is no lock file"
    file = next(name for name, kind in LOCKS.items() if kind in (manager.kind, manager.program))
    install = f"{manager.program} install"
    return f"{reason}: versions may differ from build to build. Run `{install}` and commit {file}."


def made(app: Path, package: Mapping[str, Any], kind: str, version: str, lock: str) -> Manager:
    wanted = version or str(package.get("engines", {}).get(kind, ""))
    if kind == "npm":
        return Manager("npm", f"npm@{version}" if version else "", lock)
    if kind == "pnpm":
        return Manager("pnpm", f"pnpm@{wanted or pnpm_of(app / lock if lock else None)}", lock)
    if is_berry(app, lock, version):
        tool = "" if committed_yarn(app) else f"@yarnpkg/cli-dist@{version or YARN_BERRY}"
        return Manager("berry", tool, lock, pnp=yarnrc(app, "nodeLinker", "pnp") == "pnp")
    return Manager("yarn", f"yarn@{version or YARN_1}", lock)


def pnpm_of(lock: Path | None) -> str:
    found = (
        re.search(r"lockfileVersion:\s*'?(\d+)", lock.read_text("utf-8", "replace")[:400]) if lock else None
    )
    return PNPM_OF_LOCK.get(found[1] if found else "", PNPM_OF_LOCK["9"])


def is_berry(app: Path, lock: str, version: str) -> bool:
    if version:
        return not version.startswith(("0.", "1."))
    if (app / ".yarnrc.yml").is_file():
        return True
    return bool(lock) and "\n__metadata:" in (app / lock).read_text("utf-8", "replace")[:2000]


def yarnrc(app: Path, key: str, default: str) -> str:
    """One plain value of .yarnrc.yml."""
    file = app / ".yarnrc.yml"
    text = file.read_text("utf-8", "replace") if file.is_file() else ""
    found = re.search(rf"^{key}:\s*[\"']?([^\"'\s#]+)", text, re.MULTILINE)
    return found[1] if found else default


def committed_yarn(app: Path) -> Path | None:
    """The Yarn that the app brings itself (`yarnPath`), if it is there."""
    path = yarnrc(app, "yarnPath", "")
    file = (app / path).resolve()
    return file if path and file.is_file() and file.is_relative_to(app.resolve()) else None
