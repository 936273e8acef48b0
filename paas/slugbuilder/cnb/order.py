"""Orders of groups become groups of buildpacks that can run.

In: an order, and the buildpacks that are here.  Out: groups in the sequence in which they are tried. Pure.
Specification: buildpack.md, "Order Resolution".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from ..errors import BuildError
from .descriptor import Entry, Order, Pack

MOST_GROUPS = 500
DEEPEST = 8  # composite buildpacks in each other


@dataclass(frozen=True)
class Member:
    pack: Pack
    optional: bool = False


Group = tuple[Member, ...]


def groups_of(order: Order, known: Sequence[Pack]) -> tuple[Group, ...]:
    """Raises BuildError for a buildpack that is not here and for orders without end."""
    groups = tuple(islice(_orders(order, known, 0), MOST_GROUPS + 1))
    if len(groups) > MOST_GROUPS:
        raise _wrong(f"it stands for more than {MOST_GROUPS} groups")
    unique = tuple(dict.fromkeys(_once(group) for group in groups))
    for group in unique:
        _check_folders(group)
    return tuple(group for group in unique if group)


def _check_folders(group: Group) -> None:
    """Each has a folder of layers by its id, where `/` is `_`."""
    ids: dict[str, str] = {}
    for about in (member.pack.descriptor for member in group):
        other = ids.setdefault(about.folder, about.id)
        if other != about.id:
            raise _wrong(f"{other} and {about.id} stand in one group, and their layers would share a folder")


def _wrong(why: str) -> BuildError:
    return BuildError("cnb_invalid", f"The order of buildpacks cannot be used: {why}.")


def _orders(order: Order, known: Sequence[Pack], depth: int) -> Iterator[Group]:
    if depth > DEEPEST:
        raise _wrong(f"composite buildpacks name each other more than {DEEPEST} deep")
    for group in order:
        yield from _groups(group, known, depth)


def _groups(entries: Sequence[Entry], known: Sequence[Pack], depth: int) -> Iterator[Group]:
    if not entries:
        yield ()
        return
    first, rest = entries[0], entries[1:]
    pack = find(first, known)
    if not pack.descriptor.order:
        for tail in _groups(rest, known, depth):
            yield (Member(pack, first.optional), *tail)
        return
    for inner in _orders(pack.descriptor.order, known, depth + 1):
        for tail in _groups(rest, known, depth):
            yield (*inner, *tail)
    if first.optional:
        yield from _groups(rest, known, depth)


def _once(group: Group) -> Group:
    """A buildpack runs once in a group, where it first stands."""
    first: dict[str, Member] = {}
    for member in group:
        first.setdefault(member.pack.descriptor.id, member)
    return tuple(first.values())


def find(entry: Entry, known: Sequence[Pack]) -> Pack:
    """Return the buildpack that an entry names; without a version the newest."""
    named = [pack for pack in known if pack.descriptor.id == entry.id]
    fitting = [pack for pack in named if entry.version in ("", "latest", pack.descriptor.version)]
    if fitting:
        return max(fitting, key=lambda pack: version_key(pack.descriptor.version))
    wanted = f"{entry.id}@{entry.version}" if entry.version else entry.id
    there = ", ".join(sorted({pack.descriptor.label for pack in known})) or "none"
    raise _wrong(f"there is no buildpack {wanted} (there are: {there})")


def version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:4])
