"""Build plans: what buildpacks of a group provide and require.

In: each buildpack's possible sections, in the group's order.  Out: who takes part with which plan, or why nobody can.
Pure. Specification: buildpack.md, "Detection", and "Unmet Buildpack Plan Entries".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from .tables import Table, invalid

MOST_TRIALS = 5000


@dataclass(frozen=True)
class Section:
    """One possible plan of one buildpack. `requires` are entries as they were written: name, metadata, version."""

    provides: tuple[str, ...] = ()
    requires: tuple[Mapping[str, Any], ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(str(one["name"]) for one in self.requires)


@dataclass(frozen=True)
class Taking:
    """A buildpack that passed detection, with the section of the plan that was taken."""

    id: str
    optional: bool
    section: Section = Section()


@dataclass(frozen=True)
class Need:
    """A dependency with what all buildpacks asked of it; `providers` are ids in order, the first gets it first."""

    name: str
    providers: tuple[str, ...]
    entries: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Agreed:
    ids: tuple[str, ...]
    needs: tuple[Need, ...]


def parse_sections(table: Table) -> tuple[Section, ...]:
    """The top level, then each `[[or]]`, in order."""
    return (_section(table), *(_section(one) for one in table.tables("or")))


def _section(table: Table) -> Section:
    provides = [one.text("name") for one in table.tables("provides")]
    requires = [(one.text("name"), dict(one.values)) for one in table.tables("requires")]
    if not all(provides) or not all(name for name, _ in requires):
        raise invalid(table.where, "each [[provides]] and [[requires]] needs a `name`")
    return Section(tuple(provides), tuple(values for _, values in requires))


def agree(options: Sequence[tuple[str, bool, Sequence[Section]]]) -> tuple[Agreed | None, tuple[str, ...]]:
    """Try every choice of sections, left to right and depth first. Returns the first that holds; else the reasons."""
    reasons: list[str] = []
    for chosen in islice(product(*(sections for _, _, sections in options)), MOST_TRIALS):
        trial = [
            Taking(id, optional, section) for (id, optional, _), section in zip(options, chosen, strict=True)
        ]
        found, reason = run_trial(trial)
        if found is not None:
            return found, ()
        reasons.append(reason)
    return None, tuple(dict.fromkeys(reasons))


def run_trial(trial: Sequence[Taking]) -> tuple[Agreed | None, str]:
    """Leave out optional buildpacks whose needs or provisions nobody meets, until nothing changes."""
    taking = list(trial)
    while True:
        problem = _problem(taking)
        if problem is None:
            break
        culprit, reason = problem
        if not culprit.optional:
            return None, reason
        taking.remove(culprit)
    if not taking:
        return None, "no buildpack is left"
    return Agreed(tuple(one.id for one in taking), _needs(taking)), ""


def _problem(taking: Sequence[Taking]) -> tuple[Taking, str] | None:
    provided: set[str] = set()
    for one in taking:
        provided |= set(one.section.provides)
        for name in one.section.needs:
            if name not in provided:
                return one, f"{one.id} requires {name}, which no buildpack before it provides"
    required: set[str] = set()
    for one in reversed(taking):
        required |= set(one.section.needs)
        for name in one.section.provides:
            if name not in required:
                return one, f"{one.id} provides {name}, which no buildpack after it requires"
    return None


def _needs(taking: Sequence[Taking]) -> tuple[Need, ...]:
    names = dict.fromkeys(name for one in taking for name in one.section.needs)
    return tuple(
        Need(
            name,
            tuple(one.id for one in taking if name in one.section.provides),
            tuple(entry for one in taking for entry in one.section.requires if entry["name"] == name),
        )
        for name in names
    )


def entries_for(id: str, needs: Sequence[Need]) -> tuple[Mapping[str, Any], ...]:
    """Return the entries of a buildpack's own plan."""
    return tuple(entry for need in needs if id in need.providers for entry in need.entries)


def still_open(id: str, needs: Sequence[Need], unmet: Sequence[str]) -> tuple[Need, ...]:
    """Return what is left for later buildpacks after one has built: what others provide, and what it left unmet."""
    return tuple(
        Need(need.name, tuple(one for one in need.providers if one != id), need.entries)
        for need in needs
        if id not in need.providers or need.name in unmet
    )
