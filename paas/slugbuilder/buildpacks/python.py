"""Python apps: a virtual environment on the stack's Python, filled by uv.

In: requirements.txt, or the files of Pipenv, Poetry, uv or setuptools.  Out: `.venv`, static files, default processes.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..command import capture
from ..errors import BuildError
from ..python_version import Wanted, unsupported, version_fits, wanted_python
from ..workspace import Buildpack, Compiled, Workspace
from .hooks import run_hook
from .python_django import collect_static
from .python_managers import LOCKS_OF_PYPROJECT, managers
from .python_nltk import download_nltk_data, nltk_env
from .python_packages import install_packages
from .python_plans import VENV, plan_install
from .python_web import default_web

WORKER_MB = 256


def detect(app: Path) -> bool:
    return bool(managers(app)) or any((app / name).is_file() for name in LOCKS_OF_PYPROJECT)


def compile_app(work: Workspace) -> Compiled:
    work.output.step("Python app detected")
    python, version = choose_python(work)
    work.output.info(f"Using Python {version} (stack {work.stack.name})")
    discard_committed_venvs(work)
    run_hook(work, "pre_compile", work.env)
    with work.timed("install"):
        install_packages(work, plan_install(work, version), python)
    download_nltk_data(work)
    with work.timed("collectstatic"):
        collect_static(work)
    run_hook(work, "post_compile", {**work.env, **runtime_env(work.app)})
    web, reason = default_web(work.app, installed(work.app / VENV))
    return Compiled(
        version=version,
        processes={"web": web} if web else {},
        env=runtime_env(work.app) | nltk_env(work.app),
        dependencies=(VENV,),
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
    others = other_pythons(work)
    found = next((entry for entry in others if version_fits(wanted.version, entry[1])), None)
    if found is None:
        raise unsupported(wanted, work.stack.name, have, tuple(version for _, version in others))
    note_patch_level(work, wanted, found[1])
    return found


def other_pythons(work: Workspace) -> list[tuple[Path, str]]:
    """Every further Python beside the stack's own, by its program's name."""
    programs = [
        path for path in sorted(work.stack.python.parent.glob("python3.*")) if path.suffix[1:].isdigit()
    ]
    asked = ((program, python_version_of(program, work)) for program in programs)
    return [(program, version) for program, version in asked if version]


def note_patch_level(work: Workspace, wanted: Wanted | None, have: str) -> None:
    if wanted is not None and wanted.version.count(".") == 2 and wanted.version != have:
        work.output.info(f"{wanted.file} asks for {wanted.version}: the patch level is the stack's, {have}")


def python_version_of(python: Path, work: Workspace) -> str:
    script = "import sys; print('.'.join(map(str, sys.version_info[:3])))"
    return capture([str(python), "-I", "-S", "-c", script], work.env)


def discard_committed_venvs(work: Workspace) -> None:
    """An environment of another machine works nowhere else, and makes the slug large."""
    ours = work.app / VENV
    if os.path.lexists(ours):
        work.output.warn(f"{VENV} is part of the commit: it is replaced. Add it to .gitignore.")
        shutil.rmtree(ours) if ours.is_dir() and not ours.is_symlink() else ours.unlink()
    for marker in sorted(work.app.glob("*/pyvenv.cfg")):
        name = marker.parent.name
        work.output.warn(
            f"{name}/ is a virtual environment of another machine: it is left out. Run `git rm -r --cached {name}` "
            "and add it to .gitignore."
        )
        shutil.rmtree(marker.parent)


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


PYTHON = Buildpack(
    "python", "Python", "requirements.txt, pyproject.toml, Pipfile or setup.py", detect, compile_app
)
