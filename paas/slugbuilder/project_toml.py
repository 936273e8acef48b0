"""project.toml: the project descriptor of Cloud Native Buildpacks, schema 0.1 and 0.2.

In: the file.  Out: the buildpacks it names, variables for the build, files that do not belong in it. Pure.
Specification: https://github.com/buildpacks/spec, extensions/project-descriptor.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .cnb.tables import Table, invalid, parse_table
from .cnb.variables import NAME

FILE = "project.toml"
SCHEMAS = ("0.1", "0.2")


@dataclass(frozen=True)
class Inline:
    """A buildpack that is a script in the file."""

    api: str
    text: str
    shell: str = "/bin/sh"


@dataclass(frozen=True)
class Named:
    """One buildpack of the group: by URI, by id, or a script with an id."""

    id: str = ""
    version: str = ""
    uri: str = ""
    script: Inline | None = None


@dataclass(frozen=True)
class Project:
    """Of `include` and `exclude` one is empty; both are patterns as in .gitignore."""

    group: tuple[Named, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


def parse_project(data: bytes) -> Project:
    """Raises BuildError naming the key that is wrong. A file of another kind is an empty project."""
    table = parse_table(data, FILE)
    schema = table.table("_").text("schema-version", "0.1")
    if schema not in SCHEMAS:
        raise invalid(FILE, f"`schema-version` is {schema!r}; {' and '.join(SCHEMAS)} are read here")
    if "build" in table.values and "_" not in table.values:
        build = table.table("build")
        return _project(build, build.tables("buildpacks"), build.tables("env"))
    buildpacks = table.table("io", "buildpacks")
    build = table.table("io", "buildpacks", "build")
    group = (*buildpacks.tables("group"), *build.tables("buildpacks"))
    around = [table.table("io", "buildpacks", part).tables("group") for part in ("pre", "post")]
    files = build if {"include", "exclude"} & set(build.values) else buildpacks
    return _project(files, (*around[0], *group, *around[1]), build.tables("env"))


def _project(files: Table, group: tuple[Table, ...], env: tuple[Table, ...]) -> Project:
    include, exclude = files.texts("include"), files.texts("exclude")
    if include and exclude:
        raise invalid(files.where, "`include` and `exclude` cannot both be there")
    return Project(tuple(map(_named, group)), _variables(env), include, exclude)


def _named(table: Table) -> Named:
    script = table.table("script")
    inline = None
    if script.values:
        shell = " ".join(script.text("shell", "/bin/sh").split())
        inline = Inline(script.text("api"), script.text("inline"), shell)
        if not inline.api or not inline.text:
            raise invalid(script.where, "a script needs `api` and `inline`")
        if not shell or "\0" in shell:
            raise invalid(script.where, "`shell` names no program")
    named = Named(table.text("id"), table.text("version"), table.text("uri"), inline)
    if not named.id and not named.uri:
        raise invalid(table.where, "a buildpack needs an `id` or a `uri`")
    if named.uri and named.version:
        raise invalid(table.where, "a buildpack with a `uri` has no `version` besides")
    return named


def _variables(tables: tuple[Table, ...]) -> dict[str, str]:
    pairs = [(one.text("name"), one.text("value"), one.where) for one in tables]
    for name, value, where in pairs:
        if not NAME.fullmatch(name) or "\0" in value:
            raise invalid(where, f"{name!r} is no name of a variable, or its value holds a zero byte")
    return {name: value for name, value, _ in pairs}
