"""Fills `.venv` with what the app declares.

In: requirements.txt or pyproject.toml (+ uv.lock).  Out: a virtual environment; the same one as last time, from the
cache, when nothing that it was made from has changed.
"""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..command import run
from ..errors import BuildError
from ..tree_cache import key_of, restore, save
from ..workspace import Workspace
from .python_errors import explain_uv
from .requirements import included_files, is_cacheable, read_requirements

VENV = ".venv"
FORMAT = "venv-1"


@dataclass(frozen=True)
class InstallPlan:
    """`source` is what the output names; `commands` are uv's arguments; `key` is '' when it cannot be reused."""

    source: str
    commands: tuple[tuple[str, ...], ...]
    key: str


def plan_install(work: Workspace, version: str) -> InstallPlan:
    """Decide what uv is told, from the files in the root."""
    app = work.app
    if (app / "requirements.txt").is_file():
        if (app / "uv.lock").is_file():
            work.output.warn("requirements.txt and uv.lock are both there: requirements.txt is used.")
        return plan_requirements(work, version)
    if not (app / "pyproject.toml").is_file():
        raise BuildError(
            "python_packages_unsupported",
            f"{unsupported_manager(app)} is not supported.",
            hint="Commit a requirements.txt (`pip freeze > requirements.txt`) or a pyproject.toml with uv.lock.",
        )
    return plan_project(work, version, read_pyproject(app / "pyproject.toml"))


def unsupported_manager(app: Path) -> str:
    names = ("Pipfile", "poetry.lock", "setup.py", "uv.lock")
    found = next((name for name in names if (app / name).is_file()), "This project")
    return "uv.lock without pyproject.toml" if found == "uv.lock" else f"{found} without requirements.txt"


def plan_requirements(work: Workspace, version: str) -> InstallPlan:
    file = work.app / "requirements.txt"
    text, recoded = read_requirements(file)
    if recoded:
        work.output.warn(f"requirements.txt is {recoded} text: it is read as such; save it as UTF-8.")
        file.write_text(text, encoding="utf-8")
    files = included_files(work.app, file)
    # What a requirement points to on disk or in a moving branch is not in the key, so it is installed every time.
    fixed = all(is_cacheable(read_requirements(path)[0]) for path in files)
    content = [part for path in files for part in (str(path.relative_to(work.app)), path.read_bytes())]
    key = environment_key(work, version, content) if fixed else ""
    return InstallPlan("requirements.txt", (("pip", "install", "-r", "requirements.txt"),), key)


def plan_project(work: Workspace, version: str, pyproject: Mapping[str, Any]) -> InstallPlan:
    lock = work.app / "uv.lock"
    packaged = "build-system" in pyproject or pyproject.get("tool", {}).get("uv", {}).get("package") is True
    content = [(work.app / "pyproject.toml").read_bytes()] + ([lock.read_bytes()] if lock.is_file() else [])
    # A project that is itself a package is built from the whole tree: nothing smaller can be the key.
    key = "" if packaged else environment_key(work, version, content)
    if lock.is_file():
        return InstallPlan("uv.lock", (("sync", "--locked", "--no-dev"),), key)
    work.output.warn(
        "pyproject.toml without uv.lock: versions may differ from build to build. Commit uv.lock (`uv lock`)."
    )
    commands: tuple[tuple[str, ...], ...] = (("pip", "install", "-r", "pyproject.toml"),)
    if packaged:
        commands += (("pip", "install", "--no-deps", "--editable", "."),)
    return InstallPlan("pyproject.toml", commands, key)


def read_pyproject(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = "pyproject.toml cannot be read."
        raise BuildError(
            "pyproject_invalid", message, details=(str(error),), hint="Correct it and push again."
        ) from error


def environment_key(work: Workspace, version: str, content: list[bytes | str] | list[bytes]) -> str:
    settings = sorted(
        f"{k}={v}" for k, v in work.env.items() if k.startswith(("UV_", "PIP_")) and k != "UV_CACHE_DIR"
    )
    return key_of([FORMAT, work.stack.name, version, str(work.app), *settings, *content])


def install_packages(work: Workspace, plan: InstallPlan, python: Path) -> None:
    """Make `.venv`: restored when the key is known, else installed and kept."""
    venv = work.app / VENV
    if plan.key and restore(work.cache, "venv", plan.key, venv):
        work.output.step(f"{plan.source} unchanged: environment restored from the cache")
        return
    work.output.step(f"Installing dependencies from {plan.source} with uv")
    env = uv_environment(work)
    uv = str(find_uv())
    for command in (("venv", "--quiet", "--python", str(python), VENV), *plan.commands):
        python_option = () if command[0] == "venv" else ("--python", interpreter_for(command, venv, python))
        done = run([uv, *command, *python_option], cwd=work.app, env=env, output=work.output)
        if done.code != 0:
            raise explain_uv(done.text, plan.source)
    strip_volatile(venv)
    if plan.key and not save(work.cache, "venv", plan.key, venv) and work.cache:
        work.output.info("The environment does not fit into the cache: the next build installs again")


def interpreter_for(command: tuple[str, ...], venv: Path, python: Path) -> str:
    return str(python) if command[0] == "sync" else str(venv / "bin" / "python")


def find_uv() -> Path:
    """uv of the builder image, or of the environment that runs this module."""
    candidates = [Path("/opt/paas/bin/uv"), Path(sys.executable).parent / "uv"]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    found = shutil.which("uv")
    if found is None:
        raise BuildError("tool_missing", "uv was not found: the builder image is incomplete.")
    return Path(found)


def uv_environment(work: Workspace) -> dict[str, str]:
    env = {
        **work.env,
        "UV_CACHE_DIR": str(work.cache_dir("uv")),
        "UV_LINK_MODE": "copy",  # cache and app are different file systems
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_PROJECT_ENVIRONMENT": str(work.app / VENV),
        "UV_COMPILE_BYTECODE": "1",
        # Bytecode checked by content and made with fixed hashes: the same bytes in every build.
        "PYC_INVALIDATION_MODE": "CHECKED_HASH",
        "PYTHONHASHSEED": "0",
        "NO_COLOR": "1",
    }
    # Apps that come from pip name their private index in pip's words.
    for ours, pips in (("UV_DEFAULT_INDEX", "PIP_INDEX_URL"), ("UV_INDEX", "PIP_EXTRA_INDEX_URL")):
        if ours not in env and env.get(pips):
            env[ours] = env[pips]
    return env


def strip_volatile(venv: Path) -> None:
    """Remove uv's notes on local packages: they hold times, and so would every slug."""
    for note in venv.glob("lib/python*/site-packages/*.dist-info/uv_cache.json"):
        note.unlink()
        record = note.with_name("RECORD")
        if record.is_file():
            kept = [
                line for line in record.read_text().splitlines() if not re.match(r".*/uv_cache\.json,", line)
            ]
            record.write_text("\n".join(kept) + "\n")
    for name in (".lock", "CACHEDIR.TAG"):
        (venv / name).unlink(missing_ok=True)
