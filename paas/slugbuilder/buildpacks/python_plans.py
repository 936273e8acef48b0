"""What is run to fill `.venv`, decided from the app's files.

In: the workspace and its Python.  Out: an `InstallPlan`: commands, and a key under which the result is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..tree_cache import key_of
from ..workspace import Workspace
from .pipfile import Requirements, read_lock, read_pipfile
from .poetry_lock import read_poetry_lock
from .python_managers import Manager, choose_manager, pyproject_of
from .requirements import included_files, is_cacheable, read_requirements

FORMAT = "venv-2"
VENV = ".venv"


@dataclass(frozen=True)
class InstallPlan:
    """`source` is what the output names; `commands` are uv's arguments; `key` is '' when it cannot be reused."""

    source: str
    commands: tuple[tuple[str, ...], ...]
    key: str


def plan_install(work: Workspace, version: str) -> InstallPlan:
    """Decide what is run, from the files in the root."""
    manager, warning = choose_manager(work.app)
    if warning:
        work.output.warn(warning)
    return PLANS[manager.name](work, version, manager)


def plan_requirements(work: Workspace, version: str, manager: Manager) -> InstallPlan:
    file = work.app / manager.file
    files = included_files(work.app, file)
    for one in files:
        recode(work, one)
    # What a requirement points to on disk or in a moving branch is not in the key, so it is installed every time.
    fixed = all(is_cacheable(read_requirements(path)[0]) for path in files)
    content = [part for path in files for part in (str(path.relative_to(work.app)), path.read_bytes())]
    key = environment_key(work, version, content) if fixed else ""
    return InstallPlan(manager.file, (("pip", "install", "-r", manager.file),), key)


def recode(work: Workspace, file: Path) -> None:
    """Make the file UTF-8, and say so: tools read nothing else."""
    text, encoding = read_requirements(file)
    if encoding:
        name = file.relative_to(work.app)
        work.output.warn(f"{name} is {encoding} text: it is read as such; save it as UTF-8.")
        file.write_text(text, encoding="utf-8")


def plan_pipenv(work: Workspace, version: str, manager: Manager) -> InstallPlan:
    locked = manager.file == "Pipfile.lock"
    if not locked:
        work.output.warn(
            "Pipfile without Pipfile.lock: versions may differ from build to build. Commit the lock (`pipenv lock`)."
        )
    found = read_lock(work.app, work.env) if locked else read_pipfile(work.app, work.env)
    return plan_written(work, version, manager, found)


def plan_written(work: Workspace, version: str, manager: Manager, found: Requirements) -> InstallPlan:
    """Install requirements that were read from another file; paths in them are relative to the app."""
    file = work.scratch / "requirements.txt"
    file.write_text("\n".join(found.lines) + "\n", encoding="utf-8")
    key = environment_key(work, version, list(found.lines)) if found.fixed else ""
    return InstallPlan(manager.file, (("pip", "install", "-r", str(file)),), key)


def plan_poetry(work: Workspace, version: str, manager: Manager) -> InstallPlan:
    if manager.file != "poetry.lock":
        work.output.warn(
            "pyproject.toml without poetry.lock: versions may differ from build to build. "
            "Commit poetry.lock (`poetry lock`)."
        )
        return InstallPlan("pyproject.toml", (("pip", "install", "--editable", "."),), "")
    found, fits = read_poetry_lock(work.app, work.env)
    if not fits:
        work.output.warn(
            "pyproject.toml has changed since poetry.lock was made: what is locked is installed. "
            "Run `poetry lock` and commit poetry.lock."
        )
    plan = plan_written(work, version, manager, found)
    if not poetry_package(work.app, pyproject_of(work.app)):
        return plan
    # The project itself is a package, installed from the tree: nothing smaller can be the key.
    return replace(
        plan, commands=(*plan.commands, ("pip", "install", "--no-deps", "--editable", ".")), key=""
    )


def poetry_package(app: Path, project: Mapping[str, Any]) -> bool:
    """True when the project is a package of its own: it has a module of its name, or says which."""
    poetry = project.get("tool", {}).get("poetry", {})
    if poetry.get("package-mode") is False or "build-system" not in project:
        return False
    name = str(poetry.get("name") or project.get("project", {}).get("name", "")).replace("-", "_").lower()
    places = (app / name, app / "src" / name)
    return bool(poetry.get("packages")) or any((place / "__init__.py").is_file() for place in places if name)


def plan_uv(work: Workspace, version: str, manager: Manager) -> InstallPlan:
    content = [(work.app / name).read_bytes() for name in ("pyproject.toml", "uv.lock")]
    # A project that is itself a package is built from the whole tree: nothing smaller can be the key.
    key = "" if is_package(pyproject_of(work.app)) else environment_key(work, version, content)
    return InstallPlan("uv.lock", (("sync", "--locked", "--no-dev"),), key)


def plan_project(work: Workspace, version: str, manager: Manager) -> InstallPlan:
    work.output.warn(
        "pyproject.toml without uv.lock: versions may differ from build to build. Commit uv.lock (`uv lock`)."
    )
    packaged = is_package(pyproject_of(work.app))
    content = [(work.app / "pyproject.toml").read_bytes()]
    commands: tuple[tuple[str, ...], ...] = (("pip", "install", "-r", "pyproject.toml"),)
    if packaged:
        commands += (("pip", "install", "--no-deps", "--editable", "."),)
    return InstallPlan(
        "pyproject.toml", commands, "" if packaged else environment_key(work, version, content)
    )


def is_package(pyproject: Mapping[str, Any]) -> bool:
    return "build-system" in pyproject or pyproject.get("tool", {}).get("uv", {}).get("package") is True


def plan_setup(work: Workspace, version: str, manager: Manager) -> InstallPlan:
    work.output.warn(
        "setup.py alone: versions may differ from build to build. Commit a requirements.txt (`pip freeze`)."
    )
    return InstallPlan("setup.py", (("pip", "install", "--editable", "."),), "")


Planner = Callable[[Workspace, str, Manager], InstallPlan]
PLANS: dict[str, Planner] = {
    "pip": plan_requirements,
    "pipenv": plan_pipenv,
    "poetry": plan_poetry,
    "uv": plan_uv,
    "project": plan_project,
    "setup": plan_setup,
}


def environment_key(work: Workspace, version: str, content: Iterable[bytes | str]) -> str:
    settings = sorted(
        f"{k}={v}"
        for k, v in work.env.items()
        if k.startswith(("UV_", "PIP_", "POETRY_")) and k != "UV_CACHE_DIR"
    )
    return key_of([FORMAT, work.stack.name, version, str(work.app), *settings, *content])
