"""Python apps: a virtual environment on the stack's Python, filled by uv.

In: requirements.txt, or pyproject.toml with or without uv.lock.  Out: `.venv`, static files, default processes.
"""

from __future__ import annotations

import os
import shutil
import tomllib
from pathlib import Path

from ..command import capture
from ..errors import BuildError
from ..python_version import Wanted, unsupported, version_fits, wanted_python
from ..workspace import Buildpack, Compiled, Workspace
from .python_django import collect_static
from .python_packages import VENV, install_packages, plan_install
from .python_web import default_web

WORKER_MB = 256


def detect(app: Path) -> bool:
    if any(
        (app / name).is_file()
        for name in ("requirements.txt", "uv.lock", "Pipfile", "poetry.lock", "setup.py")
    ):
        return True
    return (app / "pyproject.toml").is_file() and has_project(app / "pyproject.toml")


def has_project(pyproject: Path) -> bool:
    """A pyproject.toml that only configures linters makes no Python app."""
    try:
        data = tomllib.loads(pyproject.read_bytes().decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return True  # broken: the Python buildpack then says so
    return "project" in data or "poetry" in data.get("tool", {})


def compile_app(work: Workspace) -> Compiled:
    work.output.step("Python app detected")
    python, version = choose_python(work)
    work.output.info(f"Using Python {version} (stack {work.stack.name})")
    discard_committed_venv(work)
    plan = plan_install(work, version)
    with work.timed("install"):
        install_packages(work, plan, python)
    with work.timed("collectstatic"):
        collect_static(work)
    web, reason = default_web(work.app, installed(work.app / VENV))
    return Compiled(
        version=version,
        processes={"web": web} if web else {},
        env=runtime_env(work.app),
        web_memory_mb=WORKER_MB,
        no_web=reason,
        python=version,
    )


def choose_python(work: Workspace) -> tuple[Path, str]:
    """Return the interpreter and its version: the stack's, or another minor version that the stack also has."""
    wanted = wanted_python(work.app)
    if wanted is not None and wanted.file == "runtime.txt":
        work.output.warn(
            "runtime.txt is the old way to choose a Python: write the version into .python-version."
        )
    have = python_version_of(work.stack.python, work)
    if not have:
        message = f"Stack {work.stack.name} has no Python ({work.stack.python} does not run)."
        raise BuildError("python_missing", message, hint="Choose a stack with Python, such as debian-13.")
    if wanted is None or version_fits(wanted.version, have):
        note_patch_level(work, wanted, have)
        return work.stack.python, have
    other = work.stack.python.with_name(f"python{wanted.minor}")
    found = python_version_of(other, work)
    if found and version_fits(wanted.version, found):
        return other, found
    raise unsupported(wanted, work.stack.name, have)


def note_patch_level(work: Workspace, wanted: Wanted | None, have: str) -> None:
    if wanted is not None and wanted.version.count(".") == 2 and wanted.version != have:
        work.output.info(f"{wanted.file} asks for {wanted.version}: the patch level is the stack's, {have}")


def python_version_of(python: Path, work: Workspace) -> str:
    script = "import sys; print('.'.join(map(str, sys.version_info[:3])))"
    return capture([str(python), "-I", "-S", "-c", script], work.env)


def discard_committed_venv(work: Workspace) -> None:
    venv = work.app / VENV
    if os.path.lexists(venv):
        work.output.warn(f"{VENV} is part of the commit: it is replaced. Add it to .gitignore.")
        if venv.is_dir() and not venv.is_symlink():
            shutil.rmtree(venv)
        else:
            venv.unlink()


def installed(venv: Path) -> frozenset[str]:
    """Names of the programs and top-level packages in the environment, as far as defaults need them."""
    programs = {entry.name for entry in (venv / "bin").iterdir()} if (venv / "bin").is_dir() else set()
    packages = {entry.name for site in venv.glob("lib/python*/site-packages") for entry in site.iterdir()}
    return frozenset({f"bin/{name}" for name in programs} | packages)


def runtime_env(app: Path) -> dict[str, str]:
    return {
        "PATH": f"{app}/{VENV}/bin:/usr/local/bin:/usr/bin:/bin",
        "VIRTUAL_ENV": f"{app}/{VENV}",
        "PYTHONUNBUFFERED": "1",
        "LANG": "C.UTF-8",
        # Requests reach an instance through the platform's router only, which sets X-Forwarded-*.
        "FORWARDED_ALLOW_IPS": "*",
    }


PYTHON = Buildpack("python", "Python", "requirements.txt, pyproject.toml or uv.lock", detect, compile_app)
