"""Where the doctor looks, and what it takes for granted.

In: an agent's layout and what the agent knows.  Out: `Place`, `Known` and `Leftover`, the words of this package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from runtime.container.cgroup import CgroupV1, CgroupV2
from runtime.container.layout import Layout
from runtime.network.rules import Member, Names

Inside = Callable[..., Any]
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """One platform on this host. `inside` runs a function in its private mount namespace; None: there is none."""

    layout: Layout
    runtime: str
    cgroups: CgroupV1 | CgroupV2
    names: Names
    subnet: str
    inside: Inside | None

    def see(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function where the platform's mounts are, if there are any."""
        if self.inside is None:
            return function(*args, **kwargs)
        result: T = self.inside(function, *args, **kwargs)
        return result

    @property
    def home(self) -> Path:
        """The data directory as the kernel names it."""
        return self.layout.home.resolve()


@dataclass(frozen=True)
class Known:
    """What somebody answers for. `containers`: made or being made; `asked`: what the agent was told to run (None:
    not known). `supervisors`: pid per finished container. `volumes`: caches in use,
    `data`: ids of volumes in use. `starts`: ranges by owner."""

    containers: frozenset[str] = frozenset()
    asked: frozenset[str] | None = None
    supervisors: tuple[tuple[str, int], ...] = ()
    slots: frozenset[int] = frozenset()
    interfaces: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    members: tuple[Member, ...] = ()
    volumes: frozenset[str] = frozenset()
    data: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()
    drafts: frozenset[str] = frozenset()
    logs: frozenset[str] = frozenset()
    jobs: frozenset[str] = frozenset()
    starts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Leftover:
    """Something that nobody answers for. `key` tells one from another over repeated looks."""

    kind: str
    name: str
    problem: str
    remedy: Callable[[], object] | None = field(default=None, compare=False)

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.name


def merge(before: Known, after: Known) -> Known:
    """Everything known at either time: what came or went during a look is no leftover. Pure."""
    merged: dict[str, Any] = {}
    for one in fields(Known):
        old, new = getattr(before, one.name), getattr(after, one.name)
        if isinstance(old, frozenset) and isinstance(new, frozenset):
            merged[one.name] = old | new
        else:
            merged[one.name] = new
    merged["members"] = tuple(member for member in before.members if member in after.members)
    return Known(**merged)
