"""A build by chosen buildpacks, one after the other.

In: references in order.  Out: what was used and what they made together. The last one's process types count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..buildpacks import BUILDPACKS
from ..environment import PLATFORM
from ..errors import BuildError
from ..result import UsedBuildpack
from ..workspace import Compiled, Workspace
from .programs import exported, not_fitting, run_compile, run_detect, run_release
from .references import MOST, WHERE, Reference, Source, parse_list, parse_reference
from .variables import clean_environment, write_env_dir

FILE = ".buildpacks"
OFFERED = PLATFORM / "cnb"


@dataclass(frozen=True)
class Chosen:
    """What the app's settings name (may be empty), by which schemes buildpacks may come, and where those lie that the
    platform's operator offers."""

    references: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ("https",)
    offered: Path = OFFERED


@dataclass(frozen=True)
class Made:
    """`foreign`: .profile.d is written for bash. `launcher`: the buildpacks' own `.paas/launch` is there already."""

    used: tuple[UsedBuildpack, ...] = ()
    compiled: Compiled = field(default_factory=lambda: Compiled(version=""))
    foreign: bool = False
    launcher: bool = False


def references_of(chosen: Chosen, work: Workspace, declared: tuple[str, ...] = ()) -> tuple[Reference, ...]:
    """The app's settings, else the file `.buildpacks`, else what app.json declares, else none: then the buildpack is
    detected."""
    file = work.app / FILE
    given = list(chosen.references)
    if not given and file.is_file():
        given = parse_list(file.read_text("utf-8", "replace"))
    given = given or list(declared)
    if len(given) > MOST:
        raise BuildError(
            "buildpack_invalid", f"{len(given)} buildpacks are more than the {MOST} that an app can have."
        )
    try:
        return tuple(parse_reference(one, chosen.schemes) for one in given)
    except ValueError as error:
        raise BuildError("buildpack_invalid", str(error), hint=f"Correct it {WHERE}") from error


def compile_chosen(references: tuple[Reference, ...], chosen: Chosen, work: Workspace) -> Made:
    """Run them in order; each sees what those before it exported."""
    made, env = Made(), clean_environment(work.env, work.stack.name)
    clean = dict(env)
    for number, reference in enumerate(references):
        if reference.source is Source.BUILT_IN:
            made = _built_in(reference, made, replace(work, env={**work.env, **_news(clean, env)}))
            env = env | _path(made.compiled.env)
        else:
            made, env = _foreign(number, reference, chosen.schemes, made, work, env)
    return made


def _news(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in after.items() if before.get(name) != value}


def _path(env: Mapping[str, str]) -> dict[str, str]:
    """The next buildpack finds the programs of a built-in one."""
    return {"PATH": env["PATH"]} if "PATH" in env else {}


def _built_in(reference: Reference, made: Made, work: Workspace) -> Made:
    pack = next(one for one in BUILDPACKS if one.name == reference.place)
    if not pack.detect(work.app):
        raise not_fitting(reference, f"it looks for {pack.looks_for} in the root")
    compiled = pack.compile(work)
    return replace(
        made,
        used=(*made.used, UsedBuildpack(pack.name, compiled.version)),
        compiled=joined(made.compiled, compiled),
    )


def _foreign(
    number: int,
    reference: Reference,
    schemes: tuple[str, ...],
    made: Made,
    work: Workspace,
    env: dict[str, str],
) -> tuple[Made, dict[str, str]]:
    from .fetching import bring  # TLS and HTTP, which builds without foreign buildpacks do without

    scratch = work.scratch / f"buildpack-{number}"
    with work.timed("fetch"):
        folder = bring(reference, schemes, work, scratch)
    name = run_detect(folder, reference, work, env)
    work.output.step(f"{name} app detected (buildpack {reference.text})")
    key = hashlib.sha256(reference.text.encode()).hexdigest()[:16]
    cache = work.cache_dir(f"buildpacks/{key}")
    run_compile(folder, name, work, cache, write_env_dir(scratch / "env", work.config), env)
    release = run_release(folder, name, work, env)
    for addon in release.addons:
        work.output.info(f"{name} asks for the add-on {addon}: add-ons are not made here")
    compiled = Compiled(
        version="",
        processes=release.processes,
        env=release.config_vars,
        no_web=f"bin/release of {name} names no process type.",
    )
    used = (*made.used, UsedBuildpack(reference.text, name))
    return Made(used, joined(made.compiled, compiled), True), exported(folder, name, work, env)


def joined(before: Compiled, after: Compiled) -> Compiled:
    """Both together. Process types are the later one's, as on Heroku; so is an environment default of both, but
    PATH, which has the folders of both."""
    paths = [one.env["PATH"] for one in (after, before) if "PATH" in one.env]
    path = {"PATH": ":".join(dict.fromkeys(":".join(_own(paths)).split(":")))} if paths else {}
    return replace(
        after,
        env={**before.env, **after.env, **path},
        python=after.python or before.python,
        node=after.node or before.node,
        web_memory_mb=after.web_memory_mb or before.web_memory_mb,
        dependencies=tuple(dict.fromkeys((*before.dependencies, *after.dependencies))),
    )


def _own(paths: list[str]) -> list[str]:
    """The system's folders come after everybody's own."""
    system = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
    folders = [folder for path in paths for folder in path.split(":")]
    return [one for one in folders if one not in system] + [one for one in folders if one in system]
