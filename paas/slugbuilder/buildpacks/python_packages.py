"""Fills `.venv` with what the app declares.

In: a plan.  Out: a virtual environment; the same one as last time, from the cache, when nothing that it was made from
has changed.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from ..command import run
from ..errors import BuildError
from ..kept_trees import bring_back, keep
from ..workspace import Workspace
from .python_errors import explain_uv
from .python_plans import VENV, InstallPlan


def install_packages(work: Workspace, plan: InstallPlan, python: Path) -> None:
    """Make `.venv`: restored when the key is known, else installed and kept."""
    venv = work.app / VENV
    if plan.key and bring_back(work, "venv", plan.key, venv):
        work.output.step(f"{plan.source} unchanged: environment restored from the cache")
        return
    work.output.step(f"Installing dependencies from {plan.source} with uv")
    env = uv_environment(work)
    uv = str(find_uv())
    for command in (("venv", "--quiet", "--python", str(python), VENV), *plan.commands):
        done = run([uv, *with_python(command, venv, python)], cwd=work.app, env=env, output=work.output)
        if done.code != 0:
            raise explain_uv(done.text, plan.source)
    strip_volatile(venv)
    if plan.key and not keep(work, "venv", plan.key, venv) and work.cache:
        work.output.info("The environment does not fit into the cache: the next build installs again")


def with_python(command: tuple[str, ...], venv: Path, python: Path) -> tuple[str, ...]:
    """Tell uv the interpreter: the environment's for installing into it, the stack's for making one."""
    if command[0] == "venv":
        return command
    return (*command, "--python", str(python) if command[0] == "sync" else str(venv / "bin" / "python"))


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
