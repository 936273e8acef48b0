"""launch.toml: the processes that buildpacks declare.

In: tables, by the buildpack API they were written for.  Out: process types with the command that people see. Pure.
Specification: buildpack.md, "launch.toml"; since API 0.9 `command` is a list and no shell is implied.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .tables import Table, invalid

TYPE = re.compile(r"[A-Za-z0-9._-]{1,63}")
PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")


@dataclass(frozen=True)
class Process:
    """`argv` is what runs; `direct`: without a shell. `type` is the buildpack's word, also in names of env folders."""

    type: str
    argv: tuple[str, ...]
    direct: bool
    has_args: bool = False
    default: bool = False
    working_dir: str = ""

    @property
    def text(self) -> str:
        """The command as one line that a shell reads as the same."""
        if self.direct:
            return shlex.join(self.argv)
        if not self.has_args:
            return self.argv[0].strip()
        return " ".join(one if PLAIN.fullmatch(one) else f'"{one}"' for one in self.argv)


def parse_processes(table: Table, api: tuple[int, int]) -> tuple[Process, ...]:
    """Raises BuildError for what the buildpack's API does not allow."""
    found = tuple(_process(one, api) for one in table.tables("processes"))
    types = [one.type for one in found]
    if twice := next((one for one in types if types.count(one) > 1), None):
        raise invalid(table.where, f"the process type {twice} is there twice")
    if sum(one.default for one in found) > 1:
        raise invalid(table.where, "more than one process type has `default = true`")
    return found


def _process(table: Table, api: tuple[int, int]) -> Process:
    type, args = table.text("type"), table.texts("args")
    if not TYPE.fullmatch(type):
        raise invalid(table.where, f"`type` is {type!r}, not 1 to 63 letters, digits, `.`, `_` and `-`")
    if api >= (0, 9):
        if "direct" in table.values:
            raise invalid(table.where, "`direct` ended with buildpack API 0.8: every process is direct")
        command, direct = table.texts("command"), True
    else:
        command, direct = (table.text("command"),), table.flag("direct")
    if not command or not command[0].strip():
        raise invalid(table.where, "it has no `command`")
    if any("\0" in word for word in (*command, *args)):
        raise invalid(table.where, "its command holds a zero byte")
    return Process(
        type, (*command, *args), direct, bool(args), table.flag("default"), table.text("working-dir")
    )


def combined(each: Iterable[Sequence[Process]]) -> tuple[Process, ...]:
    """The later buildpack's definition of a type counts; one default, the last. No two look the same to people."""
    found: dict[str, Process] = {}
    default = ""
    for processes in each:
        for one in processes:
            found[one.type] = one
            if one.default:
                default = one.type
            elif default == one.type:
                default = ""
    return tuple(replace(one, default=one.type == default) for one in found.values())


def commands(processes: Sequence[Process]) -> dict[str, tuple[str, Process]]:
    """Return the platform's process types: type to command and process. Without `web` the default one is it, too.

    The launcher knows a process by its command, so that two of the same words are told apart by a remark.
    """
    named = {one.type: one for one in processes if "." not in one.type}
    default = next((one for one in processes if one.default), None)
    if default is not None and "web" not in named:
        named = {"web": default, **{type: one for type, one in named.items() if one is not default}}
    texts: dict[str, tuple[str, Process]] = {}
    for type, one in named.items():
        taken = {text for text, _ in texts.values()}
        texts[type] = (f"{one.text} # {type}" if one.text in taken else one.text, one)
    return texts
