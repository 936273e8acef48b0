"""Whether Cloud Native Buildpacks build an app, and what else its project.toml says.

In: the app's list of buildpacks, its tree.  Out: what they made, or None: the other buildpacks build it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import BuildError
from ..heroku.compiling import Chosen, Made
from ..heroku.references import WHERE, Reference, of_one_kind
from ..heroku.variables import config_of
from ..project_toml import FILE, Project, parse_project
from ..slugignore import parse_slugignore, remove_ignored, remove_others
from ..workspace import Workspace


def read_project(app: Path) -> Project:
    file = app / FILE
    return parse_project(file.read_bytes()) if file.is_file() else Project()


def follow_project(project: Project, work: Workspace) -> Workspace:
    """Remove what the descriptor leaves out; its variables are defaults that config vars override."""
    for lines, remove, kind in (
        (project.exclude, remove_ignored, "exclude"),
        (project.include, remove_others, "include"),
    ):
        if not lines:
            continue
        patterns, negated = parse_slugignore("\n".join(lines))
        for line in negated:
            work.output.warn(f"{FILE}: {line!r} in `{kind}` has no effect, negation is not supported.")
        work.output.step(f"Removed {remove(work.app, patterns)} entries by `{kind}` of {FILE}")
    given = config_of(project.env)  # what no config var may be to a build, no variable of the file is
    env = {name: value for name, value in given.items() if name not in work.config}
    return replace(work, env={**work.env, **env}, config={**env, **work.config}) if env else work


def compile_chosen_cnb(
    references: tuple[Reference, ...], settings: Chosen, project: Project, work: Workspace
) -> Made | None:
    """The app's list counts, then project.toml's group."""
    try:
        chosen = of_one_kind(references)
    except ValueError as error:
        raise BuildError("buildpack_invalid", str(error), hint=f"Correct the list {WHERE}") from error
    if references and not chosen:
        return None
    if not references and not project.group:
        return None
    from .bringing import bring_group, bring_references  # a tenth of a second, with all that fetching needs
    from .building import compile_cnb

    brought = (
        bring_references(references, settings, work) if chosen else bring_group(project.group, settings, work)
    )
    compiled, used = compile_cnb(brought, work.config, work)
    return Made(used, compiled, launcher=True)
