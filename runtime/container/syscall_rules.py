"""Seccomp profiles as values: read from the containers-common (and Docker) format, and met with one another.

In: a profile's JSON.  Out: a frozen `Profile`; ValueError in words for what cannot be kept.
Format: `linux.seccomp` of the OCI runtime spec, and seccomp.json(5) with its `includes` and `excludes`. They are
resolved for a process without capabilities, which is what an app is.
"""

from __future__ import annotations

import errno
import platform
import re
from collections.abc import Iterable, Mapping
from typing import Any

from runtime.model import Struct

KILL = -1  # in place of an errno: the process is killed
_ALLOW, _DENY = ("SCMP_ACT_ALLOW",), ("SCMP_ACT_ERRNO",)
_KILLS = ("SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD")
_OPERATORS = frozenset(f"SCMP_CMP_{name}" for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"))
_ARCHES = {"x86_64": "amd64", "aarch64": "arm64"}


class Comparison(Struct):
    """One argument of a system call against a number; with MASKED_EQ `value` is the mask."""

    index: int
    value: int
    value_two: int
    op: str


class Rule(Struct):
    """What becomes of a call whose arguments match all of `args`. `errno` 0: it is allowed; KILL: its caller dies."""

    name: str
    errno: int = 0
    args: tuple[Comparison, ...] = ()


class Profile(Struct):
    """Rules, and what becomes of every other call."""

    rules: tuple[Rule, ...]
    default_errno: int

    @property
    def effective(self) -> tuple[Rule, ...]:
        """The rules that say something else than the default does."""
        return tuple(rule for rule in self.rules if rule.errno != self.default_errno)


def read_profile(document: Mapping[str, Any]) -> Profile:
    """Read a profile. Raises ValueError naming what it asks for that is not offered."""
    default = _errno_of(document.get("defaultAction", ""), document.get("defaultErrnoRet"))
    entries = document.get("syscalls") or ()
    if not isinstance(entries, list | tuple):
        raise ValueError("its 'syscalls' are not a list.")  # noqa: TRY004 - the file is wrong, not the caller
    return Profile(rules=tuple(rule for entry in entries for rule in _rules(entry)), default_errno=default)


def _rules(entry: Any) -> list[Rule]:
    if not isinstance(entry, dict):
        raise ValueError(f"{str(entry)[:40]!r} is not an entry of 'syscalls'.")  # noqa: TRY004
    if not _applies(entry):
        return []
    number = _errno_of(entry.get("action", ""), entry.get("errnoRet"))
    args = tuple(_comparison(one) for one in entry.get("args") or ())
    names = entry.get("names") or ([entry["name"]] if entry.get("name") else [])
    return [Rule(name=str(name), errno=number, args=args) for name in names]


def _applies(entry: Mapping[str, Any]) -> bool:
    """Tell whether an entry is for this kernel, this machine and a process without capabilities."""
    includes, excludes = entry.get("includes") or {}, entry.get("excludes") or {}
    arch = _ARCHES.get(platform.machine(), platform.machine())
    if includes.get("caps") or (includes.get("arches") and arch not in includes["arches"]):
        return False
    if includes.get("minKernel") and _version(platform.release()) < _version(str(includes["minKernel"])):
        return False
    return arch not in (excludes.get("arches") or ())


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def _errno_of(action: str, number: Any) -> int:
    if action in _ALLOW:
        return 0
    if action in _KILLS:
        return KILL
    if action not in _DENY:
        raise ValueError(
            f"the action {action!r} is not offered: use SCMP_ACT_ALLOW, _ERRNO or _KILL_PROCESS."
        )
    if number is None:
        return errno.EPERM
    if not isinstance(number, int) or not 0 < number < 4096:
        raise ValueError(f"{number!r} is not an error number.")
    return number


def _comparison(one: Mapping[str, Any]) -> Comparison:
    index, op = one.get("index"), one.get("op")
    if op not in _OPERATORS or not isinstance(index, int) or not 0 <= index < 6:
        raise ValueError(f"the comparison {dict(one)!r} is not one of a system call's arguments.")
    return Comparison(
        index=index, value=int(one.get("value", 0)), value_two=int(one.get("valueTwo", 0)), op=op
    )


def meet(ours: Profile, theirs: Profile) -> Profile:
    """Return what both allow, never more; what is refused, is refused as `ours` does, then as `theirs`.

    Where both look at the same argument and not in the same way, the call is refused: stricter than either, never
    less strict.
    """
    rules: list[Rule] = []
    for name in dict.fromkeys(rule.name for rule in ours.rules):
        mine = [rule for rule in ours.rules if rule.name == name]
        rules += [rule for rule in mine if rule.errno]
        rules += _both([rule for rule in mine if not rule.errno], _allowed(theirs, name))
        refusal = next((rule for rule in theirs.rules if rule.name == name and rule.errno), None)
        if refusal and not any(rule.name == name for rule in rules):
            rules.append(Rule(name=name, errno=refusal.errno))
    return Profile(
        rules=tuple(dict.fromkeys(rules)), default_errno=ours.default_errno or theirs.default_errno
    )


def _allowed(profile: Profile, name: str) -> list[Rule]:
    """The rules by which a profile allows a call. One that also refuses it, on whatever condition, has none."""
    mine = [rule for rule in profile.rules if rule.name == name]
    if any(rule.errno for rule in mine):
        return []
    return mine or ([Rule(name=name)] if profile.default_errno == 0 else [])


def _both(mine: Iterable[Rule], others: list[Rule]) -> list[Rule]:
    return [
        Rule(name=one.name, args=tuple(dict.fromkeys((*one.args, *two.args))))
        for one in mine
        for two in others
        if _compatible(one.args, two.args)
    ]


def _compatible(one: tuple[Comparison, ...], two: tuple[Comparison, ...]) -> bool:
    """A rule can look at an argument once: at another, or at the same in the same way."""
    known = {comparison.index: comparison for comparison in one}
    return all(known.get(comparison.index, comparison) == comparison for comparison in two)
