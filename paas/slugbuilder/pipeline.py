"""One build, from the source tar to a compiled tree.

In: where the source is and where the app goes.  Out: an exit code (0, 1), lines on the output, `result.json`.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .buildpacks import BUILDPACKS, detect
from .cnb.choosing import compile_chosen_cnb, follow_project, read_project
from .declaring import for_controller, read_declarations, tell_unknown_types
from .environment import build_environment
from .errors import VAGUE, BuildError
from .heroku.compiling import Chosen, Made, compile_chosen, references_of
from .heroku.variables import config_of
from .kept_trees import drop_stale_marks, set_aside
from .launcher import write_launcher
from .misspelled import misspelled
from .output import Output
from .project_toml import Project
from .result import Failure, Result, UsedBuildpack, write_result
from .sbom import write_sbom
from .slugignore import parse_slugignore, remove_ignored
from .source import unpack_source
from .tree_cache import make_room
from .workspace import Compiled, Stack, Workspace

SLUG_LIMIT = 2 * 1024**3
FULL_BELOW = 0.01  # share of a disk
DISK_FULL = "build_disk_full"
RAISING = stat.S_ISUID | stat.S_ISGID


@dataclass(frozen=True)
class Request:
    """Where a build reads and writes. `cache` may be missing or read-only: then nothing is kept."""

    source: Path
    app: Path
    cache: Path
    scratch: Path
    result: Path
    stack: Stack
    slug_limit: int = SLUG_LIMIT
    chosen: Chosen = field(default_factory=Chosen)
    project_path: str = ""  # the folder of the source that is the app; '': all of it


def build(
    request: Request, environ: Mapping[str, str], output: Output,
    make: Callable[[Request, Workspace], Result] | None = None,
) -> int:  # fmt: skip
    """Run the whole build. Every outcome, failures too, ends in `result.json`. `make` is what is done to the source."""
    started = time.monotonic()
    work = prepare(request, environ, output)
    try:
        result = (make or compile_source)(request, work)
    except BuildError as error:
        full = full_disk(request)
        message = f"{error.message} {full}".rstrip()
        output.error(message, error.details, error.hint)
        details = tuple(output.hide(line) for line in error.details)
        cause = DISK_FULL if full and error.id in VAGUE else error.id
        failure = Failure(cause, output.hide(message), details, output.hide(error.hint))
        result = Result(
            request.stack.name, warnings=tuple(output.warnings), timings=work.timings, error=failure
        )
    except OSError as error:
        message = f"The build could not write or read its files: {error.strerror or error}."
        hint = "The disk of a build is limited: remove large files from the repository or dependencies."
        output.error(message, hint=hint if error.errno == errno.ENOSPC else "")
        failure = Failure(DISK_FULL if error.errno == errno.ENOSPC else "build_io", message, hint=hint)
        result = Result(
            request.stack.name, warnings=tuple(output.warnings), timings=work.timings, error=failure
        )
    work.timings["total"] = round(time.monotonic() - started, 3)
    report(request, result)
    return 1 if result.error else 0


def report(request: Request, result: Result) -> None:
    """Write the result. On a disk without room for it what a failed build has made gives way: nobody will run it."""
    try:
        write_result(request.result, result)
    except OSError as error:
        if not result.error or error.errno != errno.ENOSPC:
            raise
        for folder in (request.app, request.scratch):
            for entry in folder.iterdir():
                shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink()
        write_result(request.result, result)


def full_disk(request: Request) -> str:
    """Return which of a build's disks has no room left, as a sentence; '' when none is full."""
    disks = (
        (request.app, "The build's disk of {} is full."),
        (request.cache, "The app's build cache of {} is full; it is emptied before the next build."),
    )
    for folder, sentence in disks:
        usage = shutil.disk_usage(folder) if folder.is_dir() else None
        if usage and usage.free < usage.total * FULL_BELOW:
            return sentence.format(f"{usage.total / 1024**2:,.0f} MB")
    return ""


def prepare(request: Request, environ: Mapping[str, str], output: Output) -> Workspace:
    """Make the folders and decide what tools see. Leftovers of a killed build in the cache are removed."""
    os.umask(0o022)
    request.app.mkdir(parents=True, exist_ok=True)
    offered = set_aside(request.app, request.scratch.with_name(f"{request.scratch.name}-offered"))
    cache = request.cache if request.cache.is_dir() and os.access(request.cache, os.W_OK) else None
    if cache is not None and make_room(cache):
        output.info("The build cache was nearly full and has been emptied")
    home, temporary = request.scratch / "home", (cache or request.scratch) / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    for folder in (home, temporary):
        folder.mkdir(parents=True, exist_ok=True)
    env = build_environment(environ, home=home, temporary=temporary, stack=request.stack.name)
    config = config_of(environ)
    return Workspace(
        request.app, cache, request.scratch, env, request.stack, output, config=config, offered=offered
    )


def compile_source(request: Request, work: Workspace) -> Result:
    """The steps in order; the first BuildError ends them."""
    with work.timed("unpack"):
        unpacked = unpack_source(request.source, work.app, below=request.project_path)
        drop_ignored(work)
        project = read_project(work.app)
        work = follow_project(project, work)
    if request.project_path:
        work.output.step(f"Building the folder {request.project_path} (paas source:path)")
    tell_misspelled(work)
    said = read_declarations(work)
    made = compile_app(request, project, work, said.declared.buildpacks)
    compiled = made.compiled
    processes = process_types(work, said.processes, compiled)
    tell_unknown_types(work, said.declared, processes)
    shell = "/bin/bash" if made.foreign else "/bin/sh"
    write_launcher(work.app, compiled.web_memory_mb, shell, own=made.launcher)
    with work.timed("sbom"):
        write_sbom(work.app)
    with work.timed("settle"):
        drop_stale_marks(work)
        settled = settle(work.app, unpacked.newest)
    tell_lowered(work, settled)
    files, size = settled.files, settled.size
    check_size(size, request.slug_limit)
    work.output.step(f"Compiled: {files:,} files, {size / 1024**2:,.1f} MiB")
    return Result(
        stack=work.stack.name,
        process_types=processes,
        buildpacks=made.used,
        python=compiled.python,
        node=compiled.node,
        dependencies=tuple(name for name in compiled.dependencies if is_own_folder(work.app, name)),
        launch=f"{work.app}/.paas/launch",
        config_defaults=dict(compiled.env),
        health_checks=said.checks,
        declared=for_controller(said.declared),
        warnings=tuple(work.output.warnings),
        files=files,
        size=size,
        timings=work.timings,
    )


def compile_app(request: Request, project: Project, work: Workspace, declared: tuple[str, ...] = ()) -> Made:
    """Compile with the buildpacks that the app names (`declared`: in app.json), else with the one that is detected."""
    references = references_of(request.chosen, work, declared)
    made = compile_chosen_cnb(references, request.chosen, project, work)
    if made is not None:
        return made
    if references:
        with work.timed("compile"):
            return compile_chosen(references, request.chosen, work)
    buildpack = detect(work.app, BUILDPACKS)
    with work.timed("compile"):
        compiled = buildpack.compile(work)
    return Made((UsedBuildpack(buildpack.name, compiled.version),), compiled)


def is_own_folder(app: Path, name: str) -> bool:
    """A folder that is reached without a link."""
    path = app / name
    links = any(one.is_symlink() for one in (path, *path.parents) if one.is_relative_to(app) and one != app)
    return path.is_dir() and not links


def drop_ignored(work: Workspace) -> None:
    file = work.app / ".slugignore"
    if not file.is_file():
        return
    patterns, negated = parse_slugignore(file.read_text("utf-8", "replace"))
    for line in negated:
        work.output.warn(f".slugignore: {line!r} has no effect, negation is not supported.")
    removed = remove_ignored(work.app, patterns)
    work.output.step(f"Removed {removed} entries that .slugignore names")


def tell_misspelled(work: Workspace) -> None:
    for sentence in misspelled(entry.name for entry in work.app.iterdir() if entry.is_file()):
        work.output.warn(sentence)


def process_types(work: Workspace, declared: Mapping[str, str], compiled: Compiled) -> dict[str, str]:
    """Declared types; the buildpack's defaults for what they leave open."""
    defaults = {name: command for name, command in compiled.processes.items() if name not in declared}
    types = {**declared, **defaults}
    if not types:
        message = "There is nothing to run: the app has no Procfile and no default web process."
        hint = "Add a Procfile with a line such as `web: COMMAND`, where COMMAND listens on $PORT."
        raise BuildError(
            "no_process_types", message, details=(compiled.no_web,) if compiled.no_web else (), hint=hint
        )
    work.output.step("Discovering process types")
    if declared:
        work.output.info(f"Procfile declares types     -> {', '.join(declared)}")
    if defaults:
        work.output.info(f"Default types of buildpack  -> {', '.join(defaults)}")
        for name, command in defaults.items():
            work.output.info(f"{name}: {command}")
    return types


@dataclass(frozen=True)
class Settled:
    """What a compiled tree holds: files, bytes, and the programs whose setuid or setgid bit was taken away."""

    files: int
    size: int
    lowered: tuple[str, ...]


def settle(app: Path, newest: int) -> Settled:
    """Give every entry the commit's time, so that equal sources make equal trees, and no program another's rights."""
    files = size = 0
    lowered: list[str] = []
    for folder, names, entries in os.walk(app):
        files += len(entries)
        for name in (*names, *entries):
            path = os.path.join(folder, name)  # noqa: PTH118  # tens of thousands of them
            found = os.lstat(path)
            size += found.st_size
            if found.st_mode & RAISING and stat.S_ISREG(found.st_mode):
                os.chmod(path, stat.S_IMODE(found.st_mode) & ~RAISING)  # noqa: PTH101
                lowered.append(os.path.relpath(path, app))
            if found.st_ctime_ns:  # else it is a packed file of the last build, which counts without times
                os.utime(path, (newest, newest), follow_symlinks=False)
    os.utime(app, (newest, newest))
    return Settled(files, size, tuple(lowered))


def tell_lowered(work: Workspace, settled: Settled) -> None:
    if settled.lowered:
        names = ", ".join(settled.lowered[:3]) + (", …" if len(settled.lowered) > 3 else "")
        work.output.warn(
            f"The setuid or setgid bit was taken from {names}: no program of an app may have it."
        )


def check_size(size: int, limit: int) -> None:
    if size > limit:
        message = f"The compiled app has {size / 1024**2:,.0f} MiB; the limit is {limit / 1024**2:,.0f} MiB."
        hint = "Remove large files and dependencies, or list what the app does not need in .slugignore."
        raise BuildError("slug_too_large", message, hint=hint)
