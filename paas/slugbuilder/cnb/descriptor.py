"""buildpack.toml: what a buildpack says about itself, and orders of groups.

In: tables.  Out: a descriptor, or a BuildError that says what is wrong. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from .tables import Table, invalid

APIS = ((0, 8), (0, 9), (0, 10))
ID = re.compile(r"[A-Za-z0-9./_-]+")
RESERVED = frozenset({"app", "config", "sbom"})
API = re.compile(r"(\d+)(?:\.(\d+))?")


@dataclass(frozen=True)
class Entry:
    """A buildpack of a group, by name. No version: the only one there is, or the newest."""

    id: str
    version: str = ""
    optional: bool = False


Order = tuple[tuple[Entry, ...], ...]


@dataclass(frozen=True)
class Target:
    """Where a buildpack can run; what is empty fits everything. `distros` are names with versions."""

    os: str = ""
    arch: str = ""
    distros: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Descriptor:
    """`order` is that of a composite buildpack, which has no programs of its own."""

    id: str
    version: str
    api: tuple[int, int]
    name: str = ""
    clear_env: bool = False
    order: Order = ()
    stacks: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.id}@{self.version}" if self.version else self.id

    @property
    def folder(self) -> str:
        """The id as a folder's name, as in the specification: escaped."""
        return self.id.replace("/", "_")


@dataclass(frozen=True)
class Pack:
    """A buildpack that is here: what it says, and where it lies."""

    descriptor: Descriptor
    root: Path = field(default_factory=Path)


def parse_descriptor(table: Table) -> Descriptor:
    about = table.table("buildpack")
    id = about.text("id")
    if not ID.fullmatch(id) or id in RESERVED or ".." in id.split("/"):
        raise invalid(
            table.where, f"`buildpack.id` is {id!r}, not a name of letters, digits, `.`, `/`, `_` and `-`"
        )
    return Descriptor(
        id=id,
        version=about.text("version"),
        api=parse_api(table.text("api"), table.where),
        name=about.text("name") or id,
        clear_env=about.flag("clear-env"),
        order=parse_order(table),
        stacks=tuple(one.text("id") for one in table.tables("stacks")),
        targets=tuple(_target(one) for one in table.tables("targets")),
    )


def parse_api(text: str, where: str) -> tuple[int, int]:
    match = API.fullmatch(text)
    api = (int(match[1]), int(match[2] or 0)) if match else None
    if api not in APIS:
        known = ", ".join(f"{major}.{minor}" for major, minor in APIS)
        raise invalid(where, f"`api` is {text!r}; buildpacks of the buildpack API {known} can be used here")
    return api


def _target(table: Table) -> Target:
    distros = (*table.tables("distros"), *table.tables("distributions"))
    return Target(
        table.text("os"),
        table.text("arch"),
        tuple((one.text("name"), one.text("version")) for one in distros),
    )


def parse_order(table: Table) -> Order:
    """Return the groups of `[[order]]`, in order."""
    groups = []
    for group in table.tables("order"):
        entries = tuple(
            Entry(one.text("id"), one.text("version"), one.flag("optional")) for one in group.tables("group")
        )
        if not entries or not all(entry.id for entry in entries):
            raise invalid(group.where, "it needs [[order.group]] tables, each with an `id`")
        groups.append(entries)
    return tuple(groups)


@dataclass(frozen=True)
class Place:
    """What buildpacks run on here."""

    stack_id: str
    os: str = "linux"
    arch: str = "amd64"
    distro: str = ""
    distro_version: str = ""


def unfit(pack: Descriptor, place: Place) -> str:
    """Return why a buildpack may not run here, '' when it may. Targets count from API 0.10 on, then stacks do not."""
    if pack.api >= (0, 10) and pack.targets:
        if any(_fits(target, place) for target in pack.targets):
            return ""
        here = f"{place.os}/{place.arch} {place.distro} {place.distro_version}".strip()
        return f"none of its targets is {here}"
    if pack.stacks and not {"*", place.stack_id} & set(pack.stacks):
        return f"it is made for {', '.join(pack.stacks)}, not for {place.stack_id}"
    return ""


def _fits(target: Target, place: Place) -> bool:
    machine = target.os in ("", place.os) and target.arch in ("", place.arch)
    distros = [
        name in ("", place.distro) and version in ("", place.distro_version)
        for name, version in target.distros
    ]
    return machine and (not distros or any(distros))
