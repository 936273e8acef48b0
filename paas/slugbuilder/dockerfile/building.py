"""One build of images, from the source tar to folders that hold them.

In: what the platform orders.  Out: `APP/out/NUMBER` for each target; a BuildError that names file and line.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..command import Finished
from ..declaring import for_controller, read_app_json
from ..errors import BuildError
from ..heroku.variables import NAME
from ..pipeline import Request
from ..result import Result, UsedBuildpack
from ..source import unpack_source
from ..workspace import Workspace
from . import namespaces
from .buildah import Buildah, make_buildah
from .instructions import declared, find, heredoc
from .plan import REGISTRY_AUTH, Orders, Target
from .refusals import refusal
from .stack_base import offer

OUT = "out"
BUSY = "busy"  # a file in the cache while a build runs
BUILDKIT = (
    "Syntax that only BuildKit knows is not understood here, heredocs among it: see docs/dockerfile.md."
)
_STEP = re.compile(r"(?:\[\d+/\d+\] )?STEP \d+(?:/\d+)?: (.*)")
_PARSE = re.compile(r"(?:parse error line|line) (\d+)")


def image_maker(orders: Orders) -> Callable[[Request, Workspace], Result]:
    """Return what the pipeline runs in place of compiling."""
    return lambda request, work: build_images(orders, request, work)


def build_images(orders: Orders, request: Request, work: Workspace) -> Result:
    """The steps in order; the first BuildError ends them."""
    for line in orders.told:
        work.output.info(line)
    source = work.app / "source"
    for folder in (source, work.app / OUT):
        folder.mkdir()
    with work.timed("unpack"):
        unpack_source(request.source, source, below=request.project_path)
    said = read_app_json(work, source)
    if said.declared.buildpacks:
        work.output.info(
            "app.json names buildpacks; a Dockerfile goes before them (paas buildpacks:set does not)"
        )
    auth = credentials(work.env.get(REGISTRY_AUTH, ""))
    secrets = write_secrets(work)
    namespaces.enter()
    shown = work.app / "context"
    if not namespaces.mount_copy(source, work.scratch / "empty", shown):
        shown = source
    with fresh_if_killed(work.cache_dir("images")) as cache:
        buildah = make_buildah(work.scratch / "buildah", cache, work.env, work.output, orders.insecure, auth)
        with work.timed("stacks"):
            offer(orders.stacks, buildah, work.scratch)
        with work.timed("compile"):
            for number, target in enumerate(orders.targets):
                build_one(number, target, orders, buildah, shown, secrets, work)
    return Result(
        stack=work.stack.name,
        buildpacks=tuple(UsedBuildpack(target.dockerfile, target.stage) for target in orders.targets),
        warnings=tuple(work.output.warnings),
        timings=work.timings,
        health_checks=said.checks,
        declared=for_controller(said.declared),
    )


@contextmanager
def fresh_if_killed(folder: Path) -> Iterator[Path]:
    """Give a cache; one in which a build was killed is emptied first, as its store holds layers of nobody.

    A step that failed has ended whole: the layers before it are for the next build.
    """
    busy = folder / BUSY
    if busy.exists():
        shutil.rmtree(folder / "store", ignore_errors=True)
    busy.touch()
    try:
        yield folder
    except BuildError:
        busy.unlink(missing_ok=True)
        raise
    busy.unlink(missing_ok=True)


def credentials(text: str) -> str:
    """Return what containers-auth.json(5) says, checked as far as its shape goes; '' for none."""
    if not text.strip():
        return ""
    try:
        if isinstance(json.loads(text)["auths"], dict):
            return text
    except (ValueError, KeyError, TypeError):
        pass
    message = f"The config var {REGISTRY_AUTH} is not what `podman login --authfile FILE` writes."
    raise BuildError("registry_auth_invalid", message, hint="Set it to the whole content of such a file.")


def write_secrets(work: Workspace) -> dict[str, Path]:
    """Each config var as a file that `RUN --mount=type=secret,id=NAME` shows, and nothing else does."""
    folder = work.scratch / "secrets"
    folder.mkdir(mode=0o700)
    for name, value in work.config.items():
        if NAME.fullmatch(name) and name != REGISTRY_AUTH:
            (folder / name).write_bytes(value.encode("utf-8", "surrogateescape"))
    return {file.name: file for file in sorted(folder.iterdir())}


def build_one(
    number: int,
    target: Target,
    orders: Orders,
    buildah: Buildah,
    source: Path,
    secrets: dict[str, Path],
    work: Workspace,
) -> None:
    file = source / target.dockerfile
    if not file.is_file() or not file.resolve().is_relative_to(source.resolve()):
        message = f"The repository has no file {target.dockerfile}."
        raise BuildError(
            "dockerfile_missing", message, hint="Commit it, or correct heroku.yml, and push again."
        )
    name = f"localhost/app/{number}:latest"
    work.output.step(f"Building {target.dockerfile}" + (f", stage {target.stage}" if target.stage else ""))
    text = file.read_text("utf-8", "replace")
    if unknown := heredoc(text):
        message = f"{target.dockerfile}, line {unknown.line}: `{unknown.text[:200]}` has a heredoc."
        raise BuildError("dockerfile_failed", message, hint=BUILDKIT)
    wanted = declared(text)
    arguments = {key: value for key, value in orders.arguments.items() if key in wanted}
    done = buildah.build(file.parent, file, target.stage, arguments, secrets, name)
    if done.code:
        raise refusal(done.lines, buildah.auth) or failure(target.dockerfile, text, done)
    buildah.save(name, work.app / OUT / str(number))


def failure(name: str, text: str, done: Finished) -> BuildError:
    """Say which line of the Dockerfile failed, and how."""
    error = next((line for line in reversed(done.lines) if line.startswith("Error: ")), "")
    step = next((match[1] for line in reversed(done.lines) if (match := _STEP.match(line))), "")
    found = find(text, step) if step else None
    parsed = _PARSE.search(error)
    line = f", line {found.line}" if found else f", line {parsed[1]}" if parsed and not step else ""
    why = re.search(r"exit status (\d+)$", error)
    if found and why and "building at STEP" in error:
        message = f"{name}{line}: `{found.text[:200]}` ended with the exit code {why[1]}."
    else:
        reason = error.removeprefix("Error: ") or f"buildah ended with the exit code {done.code}"
        message = f"{name}{line}: {reason[:500]}"
    return BuildError("dockerfile_failed", message, hint=hint_of(error))


def hint_of(error: str) -> str:
    if "unknown instruction" in error.lower():
        return BUILDKIT
    if "history lists" in error:
        return (
            "The base image does not say how it was made, and on top of such an image buildah makes one step "
            "only: join the steps, or make the image with a Dockerfile and push it again."
        )
    if "pinging container registry" in error or "initializing source docker://" in error:
        return (
            "Base images come from a registry that builds can reach, or are a stack: FROM paas/debian-13. "
            f"A private one needs the config var {REGISTRY_AUTH}."
        )
    return "What it printed is above. Correct it, commit and push again."
